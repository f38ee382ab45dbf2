//! What is for roles that are reached over SSH: the client, and its settings.

pub(crate) mod askpass;
pub(crate) mod client;
pub(crate) mod config;
mod identity;

use std::path::Path;

use crate::api::segment;
use crate::failure::Failure;

/// A value in a file or an option of `ssh`, whatever is in it: `%` would stand for something else, and a space end it.
///
/// # Errors
/// A value that ssh has no way to write.
fn quoted(value: &str) -> Result<String, Failure> {
    if value.contains(['"', '\\']) || value.chars().any(char::is_control) {
        return Err(Failure::new(1, format!("ssh cannot be told of {value:?}")));
    }
    Ok(format!("\"{}\"", value.replace('%', "%%")))
}

/// What the gateway says is one word in a file of the user's and on a command line, and no other setting.
///
/// # Errors
/// Anything else: `-oProxyCommand=…` where a host belongs would be run.
fn check_word(word: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return Ok(());
    }
    Err(Failure::new(1, format!("the gateway names {}, which is no word for ssh", segment(word))))
}

fn quoted_path(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| Failure::new(1, format!("{} is no text", path.display())))?;
    quoted(text)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_value_stays_one() {
        assert_eq!(quoted("/home/a b/100%").expect("written"), "\"/home/a b/100%%\"");
        for wrong in ["a\"b", "a\nProxyCommand x", "a\\b"] {
            assert!(quoted(wrong).is_err(), "{wrong:?}");
        }
    }
}
