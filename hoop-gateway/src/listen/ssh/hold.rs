//! A client whose session is held: the user is told on the first program that they want to run, and whatever they ask for
//! meanwhile is kept for the session.

use std::future::pending;

use bytes::Bytes;
use hoop_core::{Denial, SshAllow};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg};
use tokio::sync::mpsc;

use super::menu::{INTERRUPTED, end};
use crate::proxy::ssh::{Answer, Asked, Begun, Listen, Opened, Wanted, words};
use crate::session::Held;

/// Most bytes of a program's input that are kept; the client waits with what is more.
const KEPT: usize = 256 << 10;
/// Most that is asked for on a channel, and most channels and forwards, until the session is there.
const MOST: usize = 256;
/// What a terminal sends for Ctrl-C.
const CTRL_C: u8 = 0x03;

/// What a client has asked for while its session is opened.
pub(super) struct Meanwhile {
    client: Handle,
    /// What the session waits for, once it does.
    held: Option<Denial>,
    /// The program on whose channel the user is told.
    program: Option<Program>,
    others: Vec<Asked>,
}

struct Program {
    channel: Channel<Msg>,
    begun: Vec<ChannelMsg>,
    kept: usize,
    terminal: bool,
    /// Whether it was asked to begin.
    starts: bool,
    is_told: bool,
}

/// What happens while a session is held.
pub(super) enum Event {
    Held(Denial),
    Asked(Asked),
    /// On the program's channel; `None` when that is gone.
    Message(Option<ChannelMsg>),
}

/// The user does not wait any longer.
pub(super) struct HasEnough;

impl Meanwhile {
    /// With what was asked for before, on a channel that the user has already.
    pub(super) fn new(client: Handle, first: Option<Asked>) -> Self {
        let mut meanwhile = Self { client, held: None, program: None, others: Vec::new() };
        match first {
            Some(Asked::Channel(Wanted::Program, channel, Opened::Begun(Begun(begun)))) => {
                meanwhile.program = Some(Program::new(channel, begun));
            }
            first => meanwhile.others.extend(first),
        }
        meanwhile
    }

    /// What happens next. Nothing is taken before the session is held. Cancel safe.
    pub(super) async fn next(
        &mut self,
        held: &mut mpsc::Receiver<Held>,
        asked: &mut mpsc::Receiver<Box<Asked>>,
    ) -> Event {
        let is_held = self.held.is_some();
        let message = async {
            match &mut self.program {
                Some(program) if program.has_room() => program.channel.wait().await,
                _ => pending().await,
            }
        };
        tokio::select! {
            Some(Held { why, .. }) = held.recv() => Event::Held(why),
            Some(asked) = asked.recv(), if is_held && self.others.len() < MOST => Event::Asked(*asked),
            message = message, if is_held => Event::Message(message),
            else => pending().await,
        }
    }

    /// Takes note of it, and tells the user. What the role does not `allow` is not kept.
    ///
    /// # Errors
    /// [`HasEnough`] when the user breaks it off.
    pub(super) async fn on(&mut self, event: Event, allow: &SshAllow) -> Result<(), HasEnough> {
        match event {
            Event::Held(why) => {
                self.held = Some(why);
                if let Some(program) = &mut self.program {
                    program.is_told = false;
                }
            }
            Event::Asked(Asked::Channel(Wanted::Program, channel, reply)) if self.program.is_none() => {
                let begun = reply.accept().await;
                self.program = Some(Program::new(channel, begun));
            }
            Event::Asked(Asked::Forward { at, answer }) => self.promise(at, answer, allow),
            Event::Asked(Asked::CancelForward { at, answer }) => {
                if self.withdraw(&at) {
                    let _ = answer.send(Some(at.port()));
                }
            }
            Event::Asked(asked) => self.others.push(asked),
            Event::Message(message) => {
                let Some(program) = &mut self.program else { return Ok(()) };
                if program.is_over(message.as_ref()) {
                    end(&self.client, &program.channel, INTERRUPTED).await;
                    return Err(HasEnough);
                }
                program.keep(message);
            }
        }
        self.tell().await;
        Ok(())
    }

    /// A client that asks the target to listen waits for the answer, and opens no channel on which it could be told why that
    /// takes so long: it is promised what the role allows, but for a port that the target would have to choose first.
    fn promise(&mut self, at: Listen, answer: Answer, allow: &SshAllow) {
        if !at.is_any() && at.allowed(allow).is_ok() && !answer.tell(at.port()) {
            self.others.push(Asked::Forward { at, answer: Answer::Promised });
        }
    }

    /// Whether that was promised, and is not any more.
    fn withdraw(&mut self, from: &Listen) -> bool {
        let promised = |asked: &Asked| matches!(asked, Asked::Forward { at, .. } if at == from);
        let place = self.others.iter().position(promised);
        place.map(|place| self.others.remove(place)).is_some()
    }

    /// On a terminal a line ends in its own way, which is known when the program is to begin.
    async fn tell(&mut self) {
        let (Some(why), Some(program)) = (&self.held, &mut self.program) else { return };
        if program.starts && !program.is_told {
            program.is_told = true;
            let _ = program.channel.extended_data_bytes(1, words(why, program.terminal)).await;
        }
    }

    /// All that was asked for, in its order: the program first.
    pub(super) fn into_asked(self) -> Vec<Asked> {
        let program = self
            .program
            .map(|program| Asked::Channel(Wanted::Program, program.channel, Opened::Begun(Begun(program.begun))));
        program.into_iter().chain(self.others).collect()
    }
}

impl Program {
    fn new(channel: Channel<Msg>, begun: Vec<ChannelMsg>) -> Self {
        let terminal = has_terminal(&begun);
        let starts = begun.iter().any(starts);
        Self { channel, begun, kept: 0, terminal, starts, is_told: false }
    }

    fn has_room(&self) -> bool {
        self.kept < KEPT && self.begun.len() < MOST
    }

    fn is_over(&self, message: Option<&ChannelMsg>) -> bool {
        match message {
            None | Some(ChannelMsg::Close) => true,
            Some(ChannelMsg::Data { data }) => self.terminal && data.contains(&CTRL_C),
            Some(_) => false,
        }
    }

    fn keep(&mut self, message: Option<ChannelMsg>) {
        let Some(message) = message else { return };
        self.terminal |= matches!(message, ChannelMsg::RequestPty { .. });
        self.starts |= starts(&message);
        if let ChannelMsg::Data { data } = &message {
            self.kept += Bytes::len(data);
        }
        self.begun.push(message);
    }
}

/// Whether a terminal is among what was asked for on a channel.
fn has_terminal(begun: &[ChannelMsg]) -> bool {
    begun.iter().any(|message| matches!(message, ChannelMsg::RequestPty { .. }))
}

const fn starts(message: &ChannelMsg) -> bool {
    matches!(message, ChannelMsg::RequestShell { .. } | ChannelMsg::Exec { .. } | ChannelMsg::RequestSubsystem { .. })
}
