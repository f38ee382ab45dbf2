//! What programs write to a terminal: text and control sequences ([ECMA-48], and what xterm makes of it).
//!
//! [`lex`] tells one from the other, [`filter`] lets through what only draws, and [`screen`] knows enough of a screen to read
//! the line on which the cursor is. All three take bytes as they come, cut anywhere, and none of them keeps more than a fixed
//! number of bytes of them.
//!
//! [ECMA-48]: https://ecma-international.org/publications-and-standards/standards/ecma-48/

pub mod filter;
pub mod lex;
pub mod screen;
