//! A client, as the library tells of it: who it is, and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use hoop_core::Denial;
use hoop_proto::tunnel::v1::{SshDirectStreamlocal, SshDirectTcpip};
use russh::keys::{Certificate, HashAlg};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::SshDoor;
use super::login::{Caller, Visitor};
use super::sign_in::{Begun, Place, Step, Waiting};
use crate::proxy::ssh::{Answer, Asked, Listen, Opened, Wanted, words};

/// How long the target may take to answer a request that concerns the whole connection.
const ANSWER: Duration = Duration::from_secs(10);

/// What a client was asked (keyboard-interactive), and has not answered yet.
#[derive(Default)]
enum Question {
    #[default]
    Nothing,
    /// For the password of a credential.
    Password,
    /// For nothing, while somebody signs it in with a browser.
    Browser(Waiting),
    /// For nothing: it was told why it does not get in.
    Refused,
}

/// One client.
pub(super) struct Client {
    door: Arc<SshDoor>,
    visitor: Visitor,
    /// Whose login is proven. Only that of the method that succeeded counts.
    caller: Option<Caller>,
    admitted: Option<oneshot::Sender<Caller>>,
    /// Told that the client waits for a browser. That may be once: what is begun is stored.
    waits: Option<oneshot::Sender<()>>,
    /// Held until the login is done, by who has more time for it.
    place: Option<Place>,
    question: Question,
    /// Whether the role that was named takes a display; one that is chosen afterwards may.
    display: bool,
    asked: mpsc::Sender<Box<Asked>>,
    /// Public keys that were asked about or signed with.
    keys: usize,
}

impl Client {
    pub(super) fn new(
        door: Arc<SshDoor>,
        visitor: Visitor,
        admitted: oneshot::Sender<Caller>,
        waits: oneshot::Sender<()>,
        asked: mpsc::Sender<Box<Asked>>,
    ) -> Self {
        let (admitted, waits) = (Some(admitted), Some(waits));
        Self {
            door,
            visitor,
            caller: None,
            admitted,
            waits,
            place: None,
            question: Question::Nothing,
            display: false,
            asked,
            keys: 0,
        }
    }

    /// Each key is looked up. The library counts those that were refused, and not those that nobody signs with.
    ///
    /// # Errors
    /// When it is one too many; the connection ends.
    fn count_key(&mut self) -> Result<(), russh::Error> {
        self.keys += 1;
        if self.keys <= self.door.most_keys {
            return Ok(());
        }
        let Visitor { peer, request_id, .. } = &self.visitor;
        tracing::info!(%peer, request = %request_id, keys = self.keys, "client offers too many keys");
        Err(russh::Error::Disconnect)
    }

    fn decided(&mut self, caller: Option<Caller>) -> Auth {
        self.caller = caller;
        if self.caller.is_some() { Auth::Accept } else { Auth::reject() }
    }

    /// The first question: for a password, where the login is one of a credential's.
    async fn ask_first(&mut self, login: &str) -> Auth {
        if !self.door.signs_in(login) {
            self.question = Question::Password;
            return question("", &[("Password: ", false)]);
        }
        let Some(waits) = self.waits.take() else { return no_more_questions() };
        match self.door.begin_sign_in(&self.visitor, login).await {
            Ok(Begun { waiting, place, text }) => {
                let _ = waits.send(());
                self.place = Some(place);
                self.question = Question::Browser(waiting);
                question(&text, &[])
            }
            Err(denial) => self.tell(&denial),
        }
    }

    async fn wait(&mut self, waiting: Waiting) -> Auth {
        match self.door.wait(&self.visitor, waiting).await {
            Step::Wait(waiting) => {
                self.question = Question::Browser(waiting);
                question("", &[])
            }
            Step::In(caller) => self.decided(Some(*caller)),
            Step::Over(denial) => self.tell(&denial),
        }
    }

    /// Says why it does not get in. The library has no other way to tell than with a question: it asks for nothing.
    fn tell(&mut self, why: &Denial) -> Auth {
        self.question = Question::Refused;
        question(String::from_utf8_lossy(&words(why, false)).trim_end(), &[])
    }

    /// Hands a channel over to the session. When that has fallen behind with them, it is refused: by dropping its reply.
    fn open(&self, wanted: Wanted, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let _ = self.asked.try_send(Box::new(Asked::Channel(wanted, channel, Opened::Wanted(reply))));
    }

    async fn ask(&self, asked: impl FnOnce(oneshot::Sender<Option<u32>>) -> Asked) -> Option<u32> {
        let (answer, answered) = oneshot::channel();
        self.asked.try_send(Box::new(asked(answer))).ok()?;
        timeout(ANSWER, answered).await.ok()?.ok()?
    }
}

fn question(text: &str, prompts: &[(&'static str, bool)]) -> Auth {
    let prompts = prompts.iter().map(|(prompt, echo)| ((*prompt).into(), *echo)).collect::<Vec<_>>();
    Auth::Partial { name: "".into(), instructions: text.to_owned().into(), prompts: prompts.into() }
}

/// Nobody is signed in with a browser twice on one connection: the client would begin again at once.
fn no_more_questions() -> Auth {
    Auth::Reject { proceed_with_methods: Some(MethodSet::from(&[MethodKind::PublicKey][..])), partial_success: false }
}

/// The library keeps room for the largest of these for as long as the connection lasts: what is large, as a login is, is boxed.
impl Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let caller = Box::pin(self.door.with_password(&self.visitor, user, password)).await;
        Ok(self.decided(caller))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else { return Ok(Box::pin(self.ask_first(user)).await) };
        match std::mem::take(&mut self.question) {
            Question::Password => {
                let password = response.next().and_then(|answer| String::from_utf8(answer.to_vec()).ok());
                let caller = match password {
                    Some(password) => Box::pin(self.door.with_password(&self.visitor, user, &password)).await,
                    None => None,
                };
                Ok(self.decided(caller))
            }
            Question::Browser(waiting) if waiting.is_of(user) => Ok(Box::pin(self.wait(waiting)).await),
            Question::Browser(_) | Question::Refused | Question::Nothing => Ok(no_more_questions()),
        }
    }

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        self.count_key()?;
        let fingerprint = offer.public_key.fingerprint(HashAlg::Sha256).to_string();
        let may_sign = Box::pin(self.door.may_sign(&fingerprint)).await;
        Ok(if may_sign { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.count_key()?;
        let fingerprint = key.public_key.fingerprint(HashAlg::Sha256).to_string();
        let caller = Box::pin(self.door.with_key(&self.visitor, user, &fingerprint)).await;
        Ok(self.decided(caller))
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        self.count_key()?;
        let caller = Box::pin(self.door.with_certificate(&self.visitor, user, certificate)).await;
        Ok(self.decided(caller))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        let (Some(mut caller), Some(admitted)) = (self.caller.take(), self.admitted.take()) else {
            return Err(russh::Error::Inconsistent);
        };
        let id = String::from_utf8_lossy(session.remote_sshid());
        caller.client = id.chars().filter(|c| !c.is_control()).take(255).collect();
        self.display = caller.may_lend_display();
        (self.place, self.question) = (None, Question::Nothing);
        let _ = admitted.send(caller);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open(Wanted::Program, channel, reply);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let to = SshDirectTcpip {
            host: host_to_connect.to_owned(),
            port: port_to_connect,
            originator_host: originator_address.to_owned(),
            originator_port,
        };
        self.open(Wanted::DirectTcpip(to), channel, reply);
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let to = SshDirectStreamlocal { path: socket_path.to_owned() };
        self.open(Wanted::DirectStreamlocal(to), channel, reply);
        Ok(())
    }

    // Requests on a channel reach its task in their order. They are answered here and at once, since the library keeps one
    // question a channel: a refusal that comes later is told on the channel.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _variable_name: &str,
        _variable_value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _x11_auth_protocol: &str,
        _x11_auth_cookie: &str,
        _x11_screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.display { session.channel_success(channel) } else { session.channel_failure(channel) }
    }

    async fn agent_request(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let at = Listen::Tcpip { host: address.to_owned(), port: *port };
        let chosen = self.ask(|answer| Asked::Forward { at, answer: Answer::Owed(answer) }).await;
        if let Some(chosen) = chosen {
            *port = chosen;
        }
        Ok(chosen.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let at = Listen::Tcpip { host: address.to_owned(), port };
        Ok(self.ask(|answer| Asked::CancelForward { at, answer }).await.is_some())
    }

    async fn streamlocal_forward(&mut self, socket_path: &str, _session: &mut Session) -> Result<bool, Self::Error> {
        let at = Listen::Streamlocal { path: socket_path.to_owned() };
        Ok(self.ask(|answer| Asked::Forward { at, answer: Answer::Owed(answer) }).await.is_some())
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        socket_path: &str,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let at = Listen::Streamlocal { path: socket_path.to_owned() };
        Ok(self.ask(|answer| Asked::CancelForward { at, answer }).await.is_some())
    }
}
