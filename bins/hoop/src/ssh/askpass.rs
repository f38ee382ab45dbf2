//! How `ssh` gets the password of a credential: it runs a program that prints it, which is this one.
//!
//! The password is in the environment of `ssh`, and in no argument. It is for the login that it belongs to alone: a jump host
//! that asks for a password, too, does not get this one.

use std::path::Path;
use std::process::ExitCode;

use tokio::process::Command;

use crate::credentials::Credential;
use crate::failure::Failure;
use crate::output;
use crate::shell::variable;

/// The login and its password, in lines of their own.
const VARIABLE: &str = "HOOP_SSH_ASKPASS";

/// Answers `ssh`, when it is that which asks.
pub(crate) fn answer() -> Option<ExitCode> {
    let asked = variable(VARIABLE)?;
    let question = std::env::args().nth(1).unwrap_or_default();
    let Some(password) = password(&asked, &question) else {
        return Some(Failure::new(1, "ssh asks for something that no credential answers").print());
    };
    Some(output::line(password).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// `ssh` asks for it as `LOGIN@HOST's password: `.
fn password<'a>(asked: &'a str, question: &str) -> Option<&'a str> {
    let (login, password) = asked.split_once('\n')?;
    let is_for_it =
        question.strip_prefix(login).is_some_and(|rest| rest.starts_with('@') && rest.ends_with("'s password: "));
    is_for_it.then_some(password)
}

/// Has `ssh` ask this program.
pub(super) fn set(command: &mut Command, program: &Path, credential: &Credential) {
    let asked = format!("{}\n{}", credential.user, credential.password.expose());
    command.env("SSH_ASKPASS", program).env("SSH_ASKPASS_REQUIRE", "force").env(VARIABLE, asked);
    // Before OpenSSH 8.4, a display had to be there for that.
    if variable("DISPLAY").is_none() {
        command.env("DISPLAY", ":");
    }
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn a_password_is_for_its_own_login() {
        let asked = "web-abc\nsecret";
        assert_eq!(password(asked, "web-abc@gw.example.com's password: "), Some("secret"));
        for other in
            ["root@jump's password: ", "web-abcd@gw's password: ", "web-abc@gw's passphrase: ", "", "(yes/no)? "]
        {
            assert_eq!(password(asked, other), None, "{other}");
        }
    }
}
