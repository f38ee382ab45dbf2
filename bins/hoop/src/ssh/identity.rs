//! The key of this machine: one for each gateway and user, made on first use, and registered at the gateway.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::failure::Failure;
use crate::keys::{self, PATH};
use crate::place::write_private;

/// How long before its end a key is renewed, so that what is set up works for a while.
const EARLY: TimeDelta = TimeDelta::hours(12);
/// How long a key that has ended is left: sessions that run by it end when it is removed.
const KEPT: TimeDelta = TimeDelta::days(7);

/// A key that the gateway takes.
pub(super) struct Identity {
    /// The file of the private half.
    pub(super) file: PathBuf,
    /// As the gateway has it.
    pub(super) key: Value,
}

/// The folder of what is for one gateway and user, which nobody else may enter.
pub(super) fn folder(base: &Path, gateway: &str, user: &str) -> Result<PathBuf, Failure> {
    let folder = base.join("ssh").join(file_name(gateway)).join(file_name(user));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    Ok(folder)
}

/// A name that is one in every path and in ssh's settings.
fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@') { c } else { '_' };
    let name: String = text.chars().map(plain).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

/// The machine's own key, known to the gateway for so long.
pub(super) async fn own(api: &Api, folder: &Path, good_for: Duration) -> Result<Identity, Failure> {
    let file = folder.join("id_ed25519");
    let public = match read(&file)? {
        Some(public) => public,
        None => make(&file)?,
    };
    let name = format!("hoop ssh-config on {}", machine());
    let known = keys::own(api).await?;
    clear(api, &known, &name).await?;
    let public = match known.iter().find(|key| key["public_key"] == public.as_str()) {
        Some(key) if lasts(key) => return Ok(Identity { file, key: key.clone() }),
        // Sessions may run by the old one, which they would end with.
        Some(_) => make(&file)?,
        None => public,
    };
    let body = json!({ "public_key": public, "name": name, "ttl_seconds": good_for.as_secs().max(1) });
    let key = api.post(PATH, &body).await?;
    Ok(Identity { file, key })
}

/// Removes what this machine has left behind, once no session runs by it any more.
async fn clear(api: &Api, known: &[Value], name: &str) -> Result<(), Failure> {
    let left = known.iter().filter(|key| key["name"] == name && expires(key).is_some_and(|at| at + KEPT < Utc::now()));
    for key in left {
        api.delete(&format!("{PATH}/{}", segment(key["id"].as_str().unwrap_or_default()))).await?;
    }
    Ok(())
}

/// Somebody's own key, which the gateway may have to be told of.
pub(super) async fn given(api: &Api, file: &Path) -> Result<Identity, Failure> {
    let file = std::path::absolute(file)?;
    let beside = file.with_added_extension("pub");
    let text = std::fs::read_to_string(&beside).map_err(|error| {
        let text = format!("{}, the public half of it, cannot be read: {error}", beside.display());
        Failure::new(1, text).hint("name the file of the private key; the other one lies beside it")
    })?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    let public = words.join(" ");
    let known = keys::own(api).await?.into_iter().find(|key| key["public_key"] == public.as_str());
    match known {
        Some(key) if keys::is_good(&key) => Ok(Identity { file, key }),
        _ => {
            let text = format!("the gateway does not know {}", beside.display());
            Err(Failure::new(1, text).hint(format!("hoop keys add {}", beside.display())))
        }
    }
}

/// One that is for a short time alone is renewed in the last quarter of it.
fn lasts(key: &Value) -> bool {
    let Some(until) = expires(key) else { return true };
    let early = at(key, "created_at").map_or(EARLY, |made| EARLY.min((until - made) / 4));
    until > Utc::now() + early
}

fn expires(key: &Value) -> Option<DateTime<Utc>> {
    at(key, "expires_at")
}

fn at(key: &Value, field: &str) -> Option<DateTime<Utc>> {
    key[field].as_str().and_then(|text| text.parse().ok())
}

/// The public half of the key that is there.
fn read(file: &Path) -> Result<Option<String>, Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display()))?,
    };
    // Others could have read it, and ssh would not use it.
    std::fs::set_permissions(file, Permissions::from_mode(0o600))?;
    let key = PrivateKey::from_openssh(text).with_context(|| format!("{} is no private key", file.display()))?;
    Ok(Some(public(&key)))
}

fn make(file: &Path) -> Result<String, Failure> {
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&rand::random()));
    let key = PrivateKey::new(pair, format!("hoop@{}", machine()))?;
    write_private(file, key.to_openssh(LineEnding::LF)?.as_bytes())?;
    Ok(public(&key))
}

fn public(key: &PrivateKey) -> String {
    russh::keys::PublicKey::from(key.public_key().key_data().clone()).to_string()
}

fn machine() -> String {
    let name = nix::sys::utsname::uname().ok().and_then(|names| names.nodename().to_str().map(str::to_owned));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let base = tempfile::tempdir().expect("a folder");
        let folder = folder(base.path(), "gw.example.com:8009", "../ada@x.org").expect("made");
        assert_eq!(folder, base.path().join("ssh/gw.example.com_8009/_.._ada@x.org"));
        let file = folder.join("id_ed25519");
        assert_eq!(read(&file).expect("readable"), None);
        let public = make(&file).expect("made");
        assert!(public.starts_with("ssh-ed25519 AAAA") && public.split(' ').count() == 2, "{public}");
        assert_eq!(read(&file).expect("readable"), Some(public));
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_is_about_to_end_is_not_for_long() {
        let until = |hours| json!({ "expires_at": Utc::now() + TimeDelta::hours(hours) });
        assert!(lasts(&until(24)) && lasts(&json!({ "expires_at": null })) && !lasts(&until(1)));
        let mut short = until(1);
        for (minutes, good) in [(1, true), (500, false)] {
            short["created_at"] = json!(Utc::now() - TimeDelta::minutes(minutes));
            assert_eq!(lasts(&short), good, "{short}");
        }
    }
}
