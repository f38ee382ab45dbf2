//! For who names no role: the roles that they may reach, to choose from.
//!
//! It takes a terminal, and a shell on it. Whoever has none is told to name a role.

use std::time::Duration;

use bytes::Bytes;
use hoop_core::{Code, Denial, ResourceRole};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::proxy::ssh::{Asked, Begun, Opened, Wanted, words};

/// How long a user may take to choose.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Longest line that is read.
const LONGEST: usize = 63;
/// Requests on a channel before there is a shell.
const MOST_REQUESTS: usize = 100;
/// What shells answer who ends them with Ctrl-C.
pub(super) const INTERRUPTED: u32 = 130;

/// Lets the user choose on the first channel that is opened. Gives the role, and that channel, on which it goes on.
pub(super) async fn choose(
    client: &Handle,
    asked: &mut mpsc::Receiver<Box<Asked>>,
    roles: Vec<ResourceRole>,
    nothing: &Denial,
) -> Option<(ResourceRole, Asked)> {
    if roles.is_empty() {
        return None;
    }
    while let Some(wanted) = asked.recv().await {
        let Asked::Channel(Wanted::Program, mut channel, Opened::Wanted(reply)) = *wanted else { continue };
        reply.accept().await;
        let chosen = timeout(PATIENCE, on_channel(client, &mut channel, &roles, nothing)).await.ok().flatten();
        let Some((role, begun)) = chosen else { continue };
        return Some((role, Asked::Channel(Wanted::Program, channel, Opened::Begun(begun))));
    }
    None
}

async fn on_channel(
    client: &Handle,
    channel: &mut Channel<Msg>,
    roles: &[ResourceRole],
    nothing: &Denial,
) -> Option<(ResourceRole, Begun)> {
    let begun = until_shell(channel).await;
    let Some(mut begun) = begun else {
        let names: Vec<&str> = roles.iter().map(|role| &*role.name).take(20).collect();
        let denial = Denial::new("gateway", Code::RoleNotFound, nothing.reason.clone())
            .hint(format!("name a role that you may reach: {}", names.join(", ")));
        let _ = channel.extended_data_bytes(1, words(&denial, false)).await;
        end(client, channel, 255).await;
        return None;
    };
    let _ = channel.data_bytes(list(roles, nothing)).await;
    let mut line = Line::default();
    loop {
        match channel.wait().await? {
            ChannelMsg::Data { data } => {
                let (echo, entered, taken) = line.typed(&data);
                let _ = channel.data_bytes(echo).await;
                match entered {
                    None => {}
                    Some(Entered::End) => {
                        end(client, channel, INTERRUPTED).await;
                        return None;
                    }
                    Some(Entered::Line(text)) => match pick(roles, &text) {
                        Some(role) => {
                            // What was typed beyond it is for the shell.
                            let rest = data.slice(taken..);
                            begun.0.extend((!rest.is_empty()).then_some(ChannelMsg::Data { data: rest }));
                            return Some((role.clone(), begun));
                        }
                        None => drop(channel.data_bytes("There is no such role. Which? ").await),
                    },
                }
            }
            ChannelMsg::Eof | ChannelMsg::Close => {
                end(client, channel, INTERRUPTED).await;
                return None;
            }
            _ => {}
        }
    }
}

/// What was asked for on the channel up to a shell on a terminal; `None` when it is something else.
async fn until_shell(channel: &mut Channel<Msg>) -> Option<Begun> {
    let mut begun = Vec::new();
    let mut terminal = false;
    while begun.len() < MOST_REQUESTS {
        let message = channel.wait().await?;
        match &message {
            ChannelMsg::RequestPty { .. } => terminal = true,
            ChannelMsg::RequestShell { .. } if terminal => {
                begun.push(message);
                return Some(Begun(begun));
            }
            ChannelMsg::RequestShell { .. } | ChannelMsg::Exec { .. } | ChannelMsg::RequestSubsystem { .. } => {
                return None;
            }
            ChannelMsg::Close => return None,
            _ => {}
        }
        begun.push(message);
    }
    None
}

/// Ends a channel with this exit status.
pub(super) async fn end(client: &Handle, channel: &Channel<Msg>, status: u32) {
    let _ = client.exit_status_request(channel.id(), status).await;
    let _ = channel.close().await;
}

fn list(roles: &[ResourceRole], nothing: &Denial) -> Bytes {
    let mut text = format!("hoop: {}\r\n\r\n", nothing.reason);
    for (at, role) in roles.iter().enumerate() {
        text.push_str(&format!("  {:>3}  {}\r\n", at + 1, role.name));
    }
    text.push_str("\r\nWhich? ");
    text.into()
}

/// By number or by name.
fn pick<'a>(roles: &'a [ResourceRole], text: &str) -> Option<&'a ResourceRole> {
    let text = text.trim();
    let by_number = text.parse::<usize>().ok().and_then(|number| roles.get(number.checked_sub(1)?));
    by_number.or_else(|| roles.iter().find(|role| &*role.name == text))
}

/// A line that is typed.
#[derive(Default)]
struct Line(String);

#[derive(Debug, PartialEq, Eq)]
enum Entered {
    Line(String),
    /// Ctrl-C, or Ctrl-D on an empty line.
    End,
}

impl Line {
    /// What is shown of it, what was entered, and how many of the keys that took.
    fn typed(&mut self, keys: &[u8]) -> (Bytes, Option<Entered>, usize) {
        let mut echo = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            match key {
                b'\r' | b'\n' => {
                    echo.extend_from_slice(b"\r\n");
                    return (echo.into(), Some(Entered::Line(std::mem::take(&mut self.0))), at + 1);
                }
                0x03 => return (Bytes::from_static(b"^C\r\n"), Some(Entered::End), at + 1),
                0x04 if self.0.is_empty() => return (Bytes::from_static(b"\r\n"), Some(Entered::End), at + 1),
                0x7f | 0x08 if self.0.pop().is_some() => echo.extend_from_slice(b"\x08 \x08"),
                b' '..=b'~' if self.0.len() < LONGEST => {
                    self.0.push(char::from(*key));
                    echo.push(*key);
                }
                _ => {}
            }
        }
        (echo.into(), None, keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_it_is_typed() {
        let mut line = Line::default();
        assert_eq!(line.typed(b"web-pp\x7f"), (Bytes::from_static(b"web-pp\x08 \x08"), None, 7));
        assert_eq!(line.typed(b"\x1b\xff"), (Bytes::new(), None, 2));
        let (echo, entered, taken) = line.typed(b"rod\rrest");
        assert_eq!((&echo[..], entered, taken), (&b"rod\r\n"[..], Some(Entered::Line("web-prod".to_owned())), 4));
        assert_eq!(line.typed(b"\x04").1, Some(Entered::End));
        assert_eq!(line.typed(b"12\x04").1, None);
        assert_eq!(line.typed(b"\x03").1, Some(Entered::End));
    }
}
