//! What is in the bodies and messages of HTTP: lexers that cut them into text and what stands around it, and readings of text
//! that is written with escapes. They look at any piece of a body, whatever the cuts, and keep nothing of it.

pub mod charset;
pub mod json;
pub mod markup;
pub mod multipart;
pub mod protobuf;
pub mod reading;
