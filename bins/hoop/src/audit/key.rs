//! The key that a gateway's recordings are verified with: what it says the first time is remembered for its context.

use hoop_gateway::record::PublicKey;

use crate::failure::Failure;
use crate::gateway::Remote;
use crate::output::text;
use crate::shell::Shell;

/// The key of a gateway. One that was remembered is used, and must be what the gateway says, where that answers.
pub(super) async fn of_gateway(remote: &Remote, shell: &Shell) -> Result<PublicKey, Failure> {
    let mut config = shell.files.config()?;
    let context = remote.context.as_ref().and_then(|name| Some((name, config.contexts.get_mut(name)?)));
    let known = context.as_ref().and_then(|(_, context)| context.recording_key.clone());
    let known = known.map(|known| known.parse::<PublicKey>()).transpose();
    let known = known.map_err(|error| Failure::new(1, format!("the recording_key of the context: {error}")))?;
    let said = match (known, said(shell).await) {
        (Some(known), Err(failure)) if failure.is_unavailable() => return Ok(known),
        (_, said) => said?,
    };
    match known {
        Some(known) if known == said => Ok(known),
        Some(known) => Err(another(&known, &said, &remote.url)),
        None => {
            let mut told = format!("{} signs recordings with the key {}", remote.url, said.fingerprint());
            if let Some((name, context)) = context {
                context.recording_key = Some(said.to_string());
                told.push_str(&format!(", which is remembered for context {name}"));
                shell.files.write_config(&config)?;
            }
            eprintln!("note: {told}; whoever has recording.pub of the gateway's data can compare it");
            Ok(said)
        }
    }
}

async fn said(shell: &Shell) -> Result<PublicKey, Failure> {
    let answer = shell.api().await?.get("/api/v1/recording-key").await?;
    let wrong = |error| Failure::new(1, format!("the gateway's key for recordings cannot be used: {error}"));
    text(&answer, "key").parse().map_err(wrong)
}

fn another(known: &PublicKey, said: &PublicKey, url: &str) -> Failure {
    let what = format!(
        "{url} signs recordings with another key by now: {}, and the one that is remembered is {}",
        said.fingerprint(),
        known.fingerprint()
    );
    let hint = "nothing was verified; ask an administrator why. --key FILE takes the key from recording.pub of the gateway's \
        data; hoop context delete forgets the one that is remembered";
    Failure::new(1, what).hint(hint)
}
