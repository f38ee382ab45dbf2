//! Refusals, in the words of a terminal.

use bytes::Bytes;
use hoop_core::{Code, Denial};
use russh::ChannelOpenFailure;

/// The exit status of a program that did not run, or not to its end: that of ssh itself when it cannot connect. Programs that
/// run others, such as Ansible, take it for what it is.
const UNREACHABLE: u32 = 255;
/// The exit status of a command that was refused, as shells have it for one that may not be run.
const REFUSED: u32 = 126;
/// `SSH_OPEN_ADMINISTRATIVELY_PROHIBITED` and `SSH_OPEN_CONNECT_FAILED` (RFC 4254 section 5.1).
const PROHIBITED: u32 = 1;
const CONNECT_FAILED: u32 = 2;

/// What the user is told. On a terminal, a line does not begin at its beginning by itself.
pub(crate) fn words(denial: &Denial, terminal: bool) -> Bytes {
    let end = if terminal { "\r\n" } else { "\n" };
    let mut text = format!("{}hoop: {}{end}", if terminal { end } else { "" }, plain(&denial.reason));
    if let Some(hint) = &denial.hint {
        text.push_str(&format!("hoop: {}{end}", plain(hint)));
    }
    text.into()
}

/// A line that the user is told while something waits.
pub(super) fn notice(text: &str, terminal: bool) -> Bytes {
    let end = if terminal { "\r\n" } else { "\n" };
    format!("hoop: {}{end}", plain(text)).into()
}

/// The exit status of a program whose user does not wait for somebody's agreement any longer, as shells have it for Ctrl-C.
const INTERRUPTED: u32 = 130;

/// The exit status of a program that was refused in a session that goes on.
pub(super) fn refused_status(denial: &Denial) -> u32 {
    match denial.code {
        Code::ReviewDenied | Code::ReviewExpired => REFUSED,
        Code::Cancelled => INTERRUPTED,
        _ => exit_status(denial),
    }
}

/// The exit status that tells a program what happened.
pub(super) fn exit_status(denial: &Denial) -> u32 {
    match denial.code {
        Code::CommandDenied => REFUSED,
        _ => UNREACHABLE,
    }
}

/// Why a channel is not opened: all in one line, since that is all that clients show.
pub(super) fn open_failure(denial: &Denial) -> ChannelOpenFailure {
    let code = match denial.code {
        Code::TargetUnavailable | Code::TargetLost | Code::AgentLost | Code::AgentUnavailable | Code::AgentBusy => {
            CONNECT_FAILED
        }
        _ => PROHIBITED,
    };
    let mut reason = plain(&denial.reason);
    if let Some(hint) = &denial.hint {
        reason.push_str("; ");
        reason.push_str(&plain(hint));
    }
    ChannelOpenFailure::Other { code, reason }
}

/// Refuses a text with a zero byte. OpenSSH's server ends the whole connection at one; another server may take it for the
/// text's end, and then runs something else than what rules have seen.
///
/// # Errors
/// [`Code::ProtocolViolation`].
pub(super) fn no_zeros(what: &str, text: &[u8]) -> Result<(), Denial> {
    if !text.contains(&0) {
        return Ok(());
    }
    let reason = format!("{what} has a zero byte in it");
    Err(Denial::new("gateway", Code::ProtocolViolation, reason).hint("send it without"))
}

/// Parts of a reason may come from a target: they are shown, and do nothing else.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_and_what_next_and_moves_no_cursor() {
        let denial = Denial::new("target", Code::TargetUnavailable, "no\x1b[2Jway").hint("try again");
        assert_eq!(words(&denial, false), "hoop: no [2Jway\nhoop: try again\n");
        assert_eq!(words(&denial, true), "\r\nhoop: no [2Jway\r\nhoop: try again\r\n");
        let ChannelOpenFailure::Other { code, reason } = open_failure(&denial) else { panic!("it has a reason") };
        assert_eq!((code, reason.as_str()), (CONNECT_FAILED, "no [2Jway; try again"));
        let statuses =
            [Code::CommandDenied, Code::ReviewDenied, Code::ReviewExpired, Code::Cancelled, Code::TargetLost]
                .map(|code| refused_status(&denial.clone().with_code(code)));
        assert_eq!(statuses, [126, 126, 126, 130, 255]);
        assert_eq!((exit_status(&denial), exit_status(&denial.with_code(Code::CommandDenied))), (255, 126));
    }
}
