//! What is done with files, as the chain is asked and told of it.

use bytes::Bytes;
use hoop_core::{ChannelId, Denial, FileBytes, FileDone, FileKind, FileOperation, Interest, Request, Response};

use super::Piece;
use crate::proxy::chain::SharedChain;

/// Something to be done with files that has no number yet.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub(super) kind: FileKind,
    pub(super) path: Bytes,
    pub(super) to: Option<Bytes>,
}

impl Intent {
    /// Paths are copied: what they were received in is larger, and would stay with them.
    pub(super) fn new(kind: FileKind, path: &[u8]) -> Self {
        Self { kind, path: Bytes::copy_from_slice(path), to: None }
    }

    pub(super) fn to(mut self, to: &[u8]) -> Self {
        self.to = Some(Bytes::copy_from_slice(to));
        self
    }

    fn numbered(self, channel: ChannelId, id: u64) -> FileOperation {
        FileOperation { channel, id, kind: self.kind, path: self.path, to: self.to }
    }
}

/// Asks the chain about all of these, which one packet or line stands for; the first has the number `first`. When one is
/// refused, none is done, and the chain is told so.
///
/// # Errors
/// The refusal, where that could not be told.
pub(super) async fn ask(
    chain: &SharedChain,
    channel: ChannelId,
    first: u64,
    intents: Vec<Intent>,
) -> Result<Option<Denial>, Denial> {
    for (id, intent) in (first..).zip(intents) {
        let request = Request::File(intent.numbered(channel, id));
        // Neither protocol has a word for somebody who waits.
        if let Err(denial) = chain.request(request, |_| std::future::ready(())).await {
            let refused = |id| FileDone { denial: Some(denial.clone()), ..over(channel, id) };
            tell(chain, (first..=id).map(refused).collect()).await?;
            return Ok(Some(denial));
        }
    }
    Ok(None)
}

/// Shows the chain bytes of files before they go on, where somebody keeps them.
///
/// # Errors
/// The refusal: what could not be kept does not go on.
pub(super) async fn keep(chain: &SharedChain, channel: ChannelId, pieces: &mut Vec<Piece>) -> Result<(), Denial> {
    if pieces.is_empty() || !chain.wants(Interest::FILE_BYTES) {
        pieces.clear();
        return Ok(());
    }
    for Piece { operation: id, written, offset, bytes } in pieces.drain(..) {
        let bytes = FileBytes { channel, id, offset, bytes };
        match written {
            true => drop(chain.request(Request::FileBytes(bytes), |_| std::future::ready(())).await?),
            false => drop(chain.response(Response::FileBytes(bytes)).await?),
        }
    }
    Ok(())
}

/// Tells the chain what is over.
///
/// # Errors
/// The refusal: what could not be recorded is not shown.
pub(super) async fn tell(chain: &SharedChain, done: Vec<FileDone>) -> Result<(), Denial> {
    for done in done {
        chain.response(Response::FileDone(done)).await?;
    }
    Ok(())
}

/// The end of an operation that moved nothing, and worked.
pub(super) const fn over(channel: ChannelId, id: u64) -> FileDone {
    FileDone { channel, id, bytes_read: 0, bytes_written: 0, sha256: None, error: None, denial: None }
}

/// The end of one that did not come to its own.
pub(super) fn cut_off(channel: ChannelId, id: u64) -> FileDone {
    FileDone { error: Some(Bytes::from_static(b"the channel ended before it was done")), ..over(channel, id) }
}

/// What a refusal says to a user, in one line.
pub(super) fn text(denial: &Denial) -> String {
    let hint = denial.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let text = format!("{}{hint}", denial.reason);
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_TEXT).collect()
}

/// Longest text of a refusal, in characters.
const MAX_TEXT: usize = 1000;
