//! What is kept of terminals.

use hoop_core::{
    ChannelClosed, ChannelEnd, ChannelId, Command, CommandKind, Input, Output, OutputStream, Terminal, WindowChange,
    WindowSize,
};

use super::*;

const CHANNEL: ChannelId = ChannelId(1);
const SIZE: WindowSize = WindowSize { columns: 80, rows: 24 };

fn start(terminal: bool) -> Request {
    Request::Command(Command {
        channel: CHANNEL,
        kind: CommandKind::Shell,
        text: Bytes::new(),
        terminal: terminal.then(|| Terminal { term: "xterm".into(), size: SIZE }),
        environment: Vec::new(),
    })
}

fn typed(text: &'static str) -> Request {
    Request::Input(Input { channel: CHANNEL, bytes: text.into(), terminal: true })
}

fn shown(text: &'static str) -> Response {
    let bytes = text.into();
    let stream = OutputStream::Stdout;
    Response::Output(Output { channel: CHANNEL, stream, bytes, terminal: true, exact: false, held_back: false })
}

fn closed() -> Response {
    let end = ChannelEnd::ExitStatus(0);
    Response::ChannelClosed(ChannelClosed { channel: CHANNEL, end, bytes_in: 0, bytes_out: 0 })
}

/// What is told of the events between the header and the end, without their times.
fn told(path: &Path) -> Vec<String> {
    let shown = read(path).expect("a log").map(|event| event.expect("whole").to_string());
    let shown: Vec<_> = shown.map(|line| line.split_once("  ").expect("a time").1.to_owned()).collect();
    shown.into_iter().filter(|line| line.starts_with('~')).collect()
}

#[tokio::test]
async fn secrets_that_are_typed_are_in_no_log_and_lines_are() {
    let fixture = Fixture::new(|config| config);
    let options = AuditOptions { detectors: vec![Arc::new(Emails)], ..AuditOptions::default() };
    let mut chain = fixture.open(RecordingMode::Default, options).await;
    passes(chain.request(start(true)));
    passes(chain.response(shown("$ ")));
    for (input, output) in [
        ("sudo -i\r", "sudo -i\r\n[sudo] password for ann: "),
        ("hunter2", ""),
        ("\r", "\r\n# "),
        ("mail ann@shop.eu\r", "mail ann@shop.eu\r\n# "),
    ] {
        passes(chain.request(typed(input)));
        passes(chain.response(shown(output)));
    }
    let size = WindowSize { columns: 100, rows: 30 };
    passes(chain.request(Request::WindowChange(WindowChange { channel: CHANNEL, size })));
    passes(chain.request(typed("exi")));
    passes(chain.response(closed()));
    chain.close(&Outcome::Completed).await;
    let Closed { log, totals, .. } = fixture.closed();
    assert_eq!(totals.input_bytes, 8 + 7 + 1 + 17 + 3);
    let path = log.expect("sealed").path;
    let bytes = std::fs::read(&path).expect("readable");
    let has = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
    assert!(!has("hunter2"));
    let told = told(&path);
    let inputs: Vec<_> = told.iter().filter(|line| !line.contains(" wrote ")).map(String::as_str).collect();
    assert_eq!(
        inputs[..8],
        [
            "~1 shell, on a terminal xterm 80x24",
            "~1 read 8 bytes\n    sudo -i\\r",
            "~1 ENTERED (as read from the screen): sudo -i",
            "~1 read 8 bytes, hidden",
            "~1 read 17 bytes\n    mail ***********\\r",
            "~1 ENTERED (as read from the screen): mail [email]",
            "~1 window 100x30",
            "~1 read 3 bytes, hidden",
        ]
    );
}

#[tokio::test]
async fn what_is_typed_at_the_end_is_not_lost() {
    let fixture = Fixture::new(|config| config);
    let mut chain = fixture.open(RecordingMode::Default, AuditOptions::default()).await;
    passes(chain.request(start(true)));
    passes(chain.request(typed("ls")));
    passes(chain.response(shown("ls")));
    chain.close(&Outcome::ClientLost).await;
    let told = told(&fixture.closed().log.expect("sealed").path);
    assert_eq!(told.last().map(String::as_str), Some("~1 read 2 bytes\n    ls"));
}

#[tokio::test]
async fn without_a_terminal_input_is_recorded_as_it_comes() {
    let fixture = Fixture::new(|config| config);
    let mut chain = fixture.open(RecordingMode::Default, AuditOptions::default()).await;
    passes(chain.request(start(false)));
    passes(chain.request(Request::Input(Input { channel: CHANNEL, bytes: "data".into(), terminal: false })));
    chain.close(&Outcome::Completed).await;
    let told = told(&fixture.closed().log.expect("sealed").path);
    assert_eq!(told.last().map(String::as_str), Some("~1 read 4 bytes\n    data"));
}
