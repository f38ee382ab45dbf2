//! HTTP: every message is parsed, decided on, and written anew ([RFC 9110], [RFC 9112], [RFC 9113]).
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
//! [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112
//! [RFC 9113]: https://www.rfc-editor.org/rfc/rfc9113

pub(crate) mod fields;
