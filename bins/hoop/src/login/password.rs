//! By a password that is typed in here.

use hoop_core::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use super::Options;
use crate::api::Api;
use crate::failure::Failure;
use crate::files::Context;
use crate::shell::{self, Shell};

/// Signs in, changes a password that is good for nothing else, and gives what the gateway says to it.
pub(super) async fn sign_in(
    api: &mut Api,
    options: &Options,
    context: &Context,
    shell: &Shell,
) -> Result<Value, Failure> {
    let user = match (&options.user, &context.user) {
        (Some(user), _) => user.clone(),
        (None, Some(user)) => user.clone(),
        (None, None) => shell.ask("User", "--user NAME")?,
    };
    let password = match options.password_stdin {
        true => Secret::new(shell::line()?),
        false => shell.ask_secret(&format!("Password of {user}"), "--password-stdin")?,
    };
    let signed_in = api.sign_in(&user, password.expose()).await.map_err(|failure| match failure.code() {
        Failure::NOT_SIGNED_IN => failure.hint("passwords are set by an administrator"),
        _ => failure,
    })?;
    if signed_in["must_change_password"] == true {
        let new = new_password(options, shell)?;
        let change = json!({ "current": password.expose(), "new": new.expose() });
        api.call(Method::PUT, "/api/v1/me/password", Some(&change)).await?;
        shell.tell("the password is changed");
    }
    Ok(signed_in)
}

fn new_password(options: &Options, shell: &Shell) -> Result<Secret<String>, Failure> {
    let text = "the password is good for nothing but to set another";
    if options.password_stdin {
        let new = Secret::new(shell::line()?);
        let hint = "give the new one in a second line of standard input";
        return if new.expose().is_empty() {
            Err(Failure::new(Failure::NOT_SIGNED_IN, text).hint(hint))
        } else {
            Ok(new)
        };
    }
    shell.tell(text);
    let new = shell.ask_secret("New password", "--password-stdin")?;
    let again = shell.ask_secret("New password, again", "--password-stdin")?;
    if new.expose() == again.expose() { Ok(new) } else { Err(Failure::new(1, "the two are not the same")) }
}
