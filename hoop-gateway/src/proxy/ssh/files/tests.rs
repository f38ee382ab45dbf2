//! The relay of files with a chain that writes down what it is asked and told, and refuses paths with `secret` in them.

mod programs;
mod scp;
mod sftp;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hoop_core::{
    ChannelId, Code, Command, CommandKind, Denial, FileDone, FileOperation, Interest, Outcome, Plugin, PluginChain,
    Request, Response, SessionContext, SessionPlugin, Verdict,
};
use hoop_testkit::{role, session};
use parking_lot::Mutex;
use serde_json::json;

use super::{Files, SharedChain};

type Log = Arc<Mutex<Vec<String>>>;

/// A plugin that writes a line for everything that it sees.
#[derive(Default)]
struct Writes(Log);

#[async_trait]
impl Plugin for Writes {
    fn name(&self) -> &str {
        "writes"
    }

    async fn open(&self, _session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
        Ok(Some(Box::new(Self(self.0.clone()))))
    }
}

#[async_trait]
impl SessionPlugin for Writes {
    fn interest(&self) -> Interest {
        Interest::FILES
    }

    fn on_request(&mut self, request: Request) -> Verdict<Request> {
        let Request::File(FileOperation { id, kind, path, to, .. }) = &request else { return Verdict::Pass(request) };
        let to = to.as_ref().map(|to| format!(" -> {}", to.escape_ascii())).unwrap_or_default();
        self.0.lock().push(format!("{id} {} {}{to}", kind.as_str(), path.escape_ascii()));
        if format!("{path:?}{to}").contains("secret") {
            return Verdict::Deny(Denial::new("writes", Code::FileDenied, "it is secret").hint("ask\nfor it"));
        }
        Verdict::Pass(request)
    }

    fn on_response(&mut self, response: Response) -> Verdict<Response> {
        let Response::FileDone(done) = &response else { return Verdict::Pass(response) };
        let FileDone { id, bytes_read, bytes_written, sha256, error, denial, .. } = done;
        let hash = sha256.map(|hash| format!(" {:02x}{:02x}", hash[0], hash[1])).unwrap_or_default();
        let error = error.as_ref().map(|error| format!(" {}", error.escape_ascii())).unwrap_or_default();
        let denial = denial.as_ref().map(|denial| format!(" denied: {denial}")).unwrap_or_default();
        self.0.lock().push(format!("{id} done r{bytes_read} w{bytes_written}{hash}{error}{denial}"));
        Verdict::Pass(response)
    }

    async fn close(&mut self, _outcome: &Outcome) {}
}

/// A channel with its chain.
struct Channel {
    files: Files,
    chain: SharedChain,
    log: Log,
}

impl Channel {
    async fn open(kind: CommandKind, text: &str) -> Self {
        let command = command(kind, text);
        let files = Files::of(&command, command.channel).expect("it has no terminal");
        let files = files.unwrap_or_else(|| panic!("{text} moves files"));
        let log = Log::default();
        let session = session(role(json!({ "kind": "ssh", "host": "web", "user": "deploy" })));
        let chain = PluginChain::new(vec![Arc::new(Writes(log.clone()))]).open(&session).await.expect("it opens");
        Self { files, chain: SharedChain::new(chain), log }
    }

    async fn client(&self, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Denial> {
        let moved = self.files.client(Bytes::copy_from_slice(bytes), &self.chain).await?;
        Ok((moved.to_target.concat(), moved.to_client.concat()))
    }

    async fn target(&self, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Denial> {
        let moved = self.files.target(Bytes::copy_from_slice(bytes), &self.chain).await?;
        Ok((moved.to_target.concat(), moved.to_client.concat()))
    }

    /// What the client sends goes on as it is.
    #[track_caller]
    fn sends(&self, bytes: &[u8]) {
        let moved = futures::executor::block_on(self.client(bytes)).expect("it goes on");
        assert_eq!(moved, (bytes.to_vec(), Vec::new()));
    }

    /// What the target sends goes on as it is.
    #[track_caller]
    fn answers(&self, bytes: &[u8]) {
        let moved = futures::executor::block_on(self.target(bytes)).expect("it goes on");
        assert_eq!(moved, (Vec::new(), bytes.to_vec()));
    }

    #[track_caller]
    fn client_fails(&self, bytes: &[u8], code: Code) {
        let denial = futures::executor::block_on(self.client(bytes)).expect_err("it ends the channel");
        assert_eq!(denial.code, code, "{denial}");
    }

    #[track_caller]
    fn target_fails(&self, bytes: &[u8]) {
        let denial = futures::executor::block_on(self.target(bytes)).expect_err("it ends the channel");
        assert_eq!(denial.code, Code::TargetLost, "{denial}");
    }

    /// What was written down since the last time.
    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock())
    }

    fn close(&self) -> Vec<String> {
        futures::executor::block_on(self.files.close(&self.chain)).expect("it is told");
        self.log()
    }
}

fn command(kind: CommandKind, text: &str) -> Command {
    let text = Bytes::copy_from_slice(text.as_bytes());
    Command { channel: ChannelId(3), kind, text, terminal: None, environment: Vec::new() }
}

#[test]
fn only_what_surely_moves_files_does() {
    use CommandKind::{Exec, Shell, Subsystem};
    for (kind, text, expected) in [
        (Exec, "scp -f $HOME/x", true),
        (Exec, "scp -f /a /b", true),
        (Exec, "scp -f /{a,b}/c", true),
        (Subsystem, "sftp", true),
        (Exec, "/usr/lib/openssh/sftp-server", true),
        (Exec, "sftp-server -l INFO", true),
        (Exec, "scp -t /tmp", true),
        (Exec, "scp -f /tmp/*.log", true),
        (Subsystem, "netconf", false),
        (Shell, "", false),
        (Exec, "sftp-server -Q requests", false),
        (Exec, "scp a b:c", false),
        (Exec, "rsync --server", false),
    ] {
        let command = command(kind, text);
        assert_eq!(Files::of(&command, command.channel).expect("no terminal").is_some(), expected, "{text}");
        let terminal =
            hoop_core::Terminal { term: Bytes::new(), size: hoop_core::WindowSize { columns: 80, rows: 24 } };
        let on_a_terminal = Files::of(&Command { terminal: Some(terminal), ..command }, ChannelId(3));
        assert_eq!(on_a_terminal.err().map(|denial| denial.code), expected.then_some(Code::CommandDenied), "{text}");
    }
}

/// What moves files and is not decoded would move them past every rule on files.
#[test]
fn what_moves_files_in_another_form_is_refused() {
    for text in [
        "sftp-server; id",
        "/usr/lib/openssh/sftp-server $LC_A",
        "id && sftp-server",
        "echo $(sftp-server)",
        "scp -t $HOME",
        "scp -t a b",
        "scp -f /a 2>/dev/null",
        "scp -f /a; scp -f /b",
        "scp -f /a | cat",
        "scp -f -l 100 /a",
        "scp /a -f",
        "scp -f /a -v",
        "/usr/bin/scp -qrf",
    ] {
        let refused = Files::of(&command(CommandKind::Exec, text), ChannelId(3)).err();
        assert_eq!(refused.map(|denial| denial.code), Some(Code::CommandDenied), "{text}");
    }
}

#[tokio::test]
async fn a_task_of_any_thread_can_carry_it() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let channel = Channel::open(CommandKind::Subsystem, "sftp").await;
    is_send(channel.files.client(Bytes::new(), &channel.chain)).await.expect("nothing came");
    is_send(channel.files.target(Bytes::new(), &channel.chain)).await.expect("nothing came");
    is_send(channel.files.close(&channel.chain)).await.expect("nothing is open");
}
