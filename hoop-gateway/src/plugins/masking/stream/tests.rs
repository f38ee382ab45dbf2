//! What is masked is in no piece, wherever a stream is cut.

use proptest::prelude::*;

use super::super::action::{Action, MaskingKey};
use super::super::counts::MaskCounts;
use super::super::detect::{Builtin, Detectors};
use super::*;

const CARD: &str = "4111 1111 1111 1111";
const EMAIL: &str = "ada@example.com";
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\nAAAAEbm9uZQAAAAAAAAABAAAAMwAAAA\n-----END OPENSSH PRIVATE KEY-----\n";

fn masker(action: Action) -> Masker {
    Masker {
        detectors: Detectors::all(),
        actions: Builtin::ALL.into_iter().map(|builtin| (builtin, action)).collect(),
        key: MaskingKey::derive(b"secret", "org"),
        max_value_bytes: 1 << 20,
        counts: MaskCounts::default(),
    }
}

#[test]
fn data_is_not_touched_and_a_terminal_writes_text() {
    let masker = masker(Action::Label);
    let mut streams = Streams::default();
    let mut shown = |channel, terminal, bytes: &[u8]| {
        let mut output = Output { channel: ChannelId(channel), ..output(bytes, terminal) };
        streams.output(&mut output, &masker);
        String::from_utf8_lossy(&output.bytes).into_owned()
    };
    assert_eq!(shown(1, false, b"tar\0ada@example.com\n"), "tar\0ada@example.com\n");
    assert_eq!(shown(1, false, b"ada@example.com\n"), "ada@example.com\n");
    assert!(!shown(3, true, b"\0ada@example.com\n").contains("ada@"));
    assert!(!shown(4, false, b"text\nada@example.com\n").contains("ada@"));
}

fn output(bytes: &[u8], terminal: bool) -> Output {
    let bytes = Bytes::copy_from_slice(bytes);
    Output { channel: ChannelId(1), stream: OutputStream::Stdout, bytes, terminal, exact: false, held_back: false }
}

/// What is shown of the pieces, flushed only at their end.
fn shown<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, terminal: bool) -> String {
    let (masker, mut streams, mut shown) = (masker(Action::Label), Streams::default(), Vec::new());
    for piece in pieces {
        let mut output = output(piece, terminal);
        streams.output(&mut output, &masker);
        shown.extend_from_slice(&output.bytes);
    }
    while let Some(output) = streams.flush(ChannelId(1), &masker) {
        shown.extend_from_slice(&output.bytes);
    }
    String::from_utf8_lossy(&shown).into_owned()
}

fn whole(text: &str, terminal: bool) -> String {
    shown([text.as_bytes()], terminal)
}

#[test]
fn values_are_replaced_and_keep_their_columns_on_a_terminal() {
    let text = format!("mail {EMAIL}, card {CARD}.\n");
    assert_eq!(whole(&text, false), "mail [email], card [card].\n");
    assert_eq!(whole(&text, true), "mail [email]********, card [card]*************.\n");
    assert_eq!(whole(EMAIL, false), "[email]", "at the end of all");
}

#[test]
fn control_sequences_do_not_hide_a_value_and_are_kept() {
    for (text, left) in [
        ("\x1b[32mada\x1b[1m@\x1b[0mexample.com\x1b[0m ok\r\n", "\x1b[32m[em\x1b[1ma\x1b[0mil]********\x1b[0m ok\r\n"),
        ("4111 1111\u{9b}1m 1111 1111\n", "[card]***\u{9b}1m**********\n"),
        ("4111 1111 11 \r11 1111\r\n", "[card]****** \r*******\r\n"),
        ("4111 1111\x1b[C1111 1111\r\n", "[card]***\x1b[C*********\r\n"),
        ("4111 1111 1111 1112\x081\r\n", "[card]************2\x08*\r\n"),
        ("4111 111x\x08\x1b[K1 1111 1111\r\n", "[card]**x\x08\x1b[K***********\r\n"),
        ("4\x084 \x1b]0;ada@example.com\x07x\r\n", "4\x084 \x1b]0;[email]********\x07x\r\n"),
        ("4111 1111 1111 1111\rdone\r\n", "[card]*************\rdone\r\n"),
    ] {
        assert_eq!(whole(text, true), left, "{text:?}");
    }
}

#[test]
fn a_private_key_is_masked_to_its_end() {
    assert_eq!(whole(&format!("$ cat\n{KEY}$ ada@host:~$\n"), false), "$ cat\n[cloud_key]\n$ ada@host:~$\n");
    let on_terminal = whole(&format!("{}user@host1:~$ ", KEY.replace('\n', "\r\n")), true);
    assert!(!on_terminal.contains("b3Blbn") && !on_terminal.contains("AAAA"), "{on_terminal}");
    assert!(on_terminal.ends_with("\r\nuser@host1:~$ "), "{on_terminal}");
    let quoted = whole("grep: -----BEGIN RSA PRIVATE KEY-----\nuser@host1:~$ ls\n", true);
    assert!(quoted.ends_with("user@host1:~$ ls\n"), "what is no line of a key ends it: {quoted}");
}

#[test]
fn nothing_found_is_not_copied() {
    let (masker, mut streams) = (masker(Action::Label), Streams::default());
    let bytes = Bytes::from("some lines\nof output without values\n".repeat(100));
    let mut output = Output { bytes: bytes.clone(), ..output(b"", true) };
    streams.output(&mut output, &masker);
    assert_eq!((output.bytes.as_ptr(), output.bytes.len()), (bytes.as_ptr(), bytes.len()));
    assert!(!output.held_back);
}

#[test]
fn only_what_could_begin_a_value_is_kept_back() {
    for (text, held) in [("ok \n", 0), ("$ ", 0), ("done. ", 0), ("mail ada", 3), ("a\x1b[3", 4), ("4111 11", 7)] {
        let (masker, mut streams) = (masker(Action::Label), Streams::default());
        let mut output = output(text.as_bytes(), true);
        streams.output(&mut output, &masker);
        assert_eq!((text.len() - output.bytes.len(), output.held_back), (held, held > 0), "{text:?}");
    }
}

#[test]
fn what_comes_after_the_wait_is_masked_all_the_same() {
    for (first, then, left) in [
        ("4111 1111 11", "11 1111\r\n", "4111 1111 11*******\r\n"),
        ("ada@example.com", "pany ok\r\n", "[email]************ ok\r\n"),
        (
            "-----BEGIN RSA PRIV",
            "ATE KEY-----\r\nMIIEpAIBAAKCAQEA\r\n$ \r\n",
            "-----BEGIN RSA PRIV************\r\n****************\r\n$ \r\n",
        ),
    ] {
        let (masker, mut streams, mut shown) = (masker(Action::Label), Streams::default(), String::new());
        for piece in [first, then] {
            let mut output = output(piece.as_bytes(), true);
            streams.output(&mut output, &masker);
            shown.push_str(&String::from_utf8_lossy(&output.bytes));
            while let Some(output) = streams.flush(ChannelId(1), &masker) {
                shown.push_str(&String::from_utf8_lossy(&output.bytes));
            }
        }
        assert_eq!(shown, left);
    }
}

/// What is said at a terminal: what is typed, and what the program writes then.
type Dialogue<'a> = &'a [(&'a str, &'a str)];

/// What is shown of each piece, and whether some of it is kept back; nothing is flushed.
fn dialogue(said: Dialogue<'_>) -> Vec<(String, bool)> {
    let (masker, mut streams) = (masker(Action::Label), Streams::default());
    let mut shown = Vec::new();
    for (typed, written) in said {
        streams.typed(ChannelId(1), typed.as_bytes());
        let mut output = output(written.as_bytes(), true);
        streams.output(&mut output, &masker);
        shown.push((String::from_utf8_lossy(&output.bytes).into_owned(), output.held_back));
    }
    shown
}

fn at_once(shown: &str) -> (String, bool) {
    (shown.to_owned(), false)
}

fn kept_back() -> (String, bool) {
    (String::new(), true)
}

#[test]
fn an_echo_is_shown_at_once() {
    let keys = [("", "$ "), ("l", "l"), ("s", "s"), (" ", " "), ("4", "4"), ("a@", "a"), ("", "@")];
    assert_eq!(dialogue(&keys), keys.map(|(_, written)| at_once(written)));
    let pasted = dialogue(&[("make test", "make test")]);
    assert_eq!(pasted, [at_once("make test")]);
    let erased = [("", "$ "), ("l", "l"), ("\x7f", "\x08 \x08"), ("s", "s"), ("\x1b[D", "\x08"), ("\x1b[C", "\x1b[C")];
    assert_eq!(dialogue(&erased), erased.map(|(_, written)| at_once(written)), "there is nothing to read in it");
    assert_eq!(dialogue(&[("", "$ "), ("", "\x08")])[1], kept_back(), "it answers no key");
}

#[test]
fn what_nobody_has_typed_is_kept_back() {
    for said in [
        [("", "$ "), ("", "l")],
        [("", "$ "), ("l", "ls")],
        [("", "$ "), ("ls", "s")],
        [("l", "$ "), ("", "l")],
        [("l", "\r\n"), ("", "l")],
    ] {
        assert!(dialogue(&said)[1].1, "{said:?}");
    }
    let behind_other = dialogue(&[("", "name"), ("x", "x")]);
    assert_eq!(behind_other, [kept_back(), kept_back()], "what is kept back before it may be of the same value");
    let other_channel = {
        let (masker, mut streams) = (masker(Action::Label), Streams::default());
        streams.typed(ChannelId(2), b"l");
        let mut output = output(b"l", true);
        streams.output(&mut output, &masker);
        output.held_back
    };
    assert!(other_channel);
}

#[test]
fn what_the_program_adds_to_a_value_that_is_typed_is_masked() {
    let completed = dialogue(&[("4111", "4111"), ("\t", " 1111 1111 1111\r\n")]);
    assert_eq!(completed, [at_once("4111"), at_once("***************\r\n")]);
    let typed = dialogue(&[("4111 1111 1111 111", "4111 1111 1111 111"), ("1", "1"), ("\r", "\r\n")]);
    assert_eq!(typed[1..], [at_once("*"), at_once("\r\n")], "a value is one, whoever has written it");
}

#[test]
fn who_guesses_is_not_believed_for_long() {
    let guess = [("4", "4"), ("", "111 1111 1111 1111\r\n"), ("a", "a")];
    assert_eq!(dialogue(&guess)[2], kept_back(), "a guess was right");
    let typed = [("4111 1111 1111 111", "4111 1111 1111 111"), ("1", "1"), ("\r", "\r\n"), ("a", "a")];
    assert_eq!(dialogue(&typed)[3], at_once("a"), "nothing was guessed");
}

#[test]
fn both_streams_of_a_channel_are_flushed_and_forgotten() {
    let (masker, mut streams) = (masker(Action::Label), Streams::default());
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        streams.output(&mut Output { stream, ..output(b"ada", false) }, &masker);
    }
    let flushed: Vec<_> = std::iter::from_fn(|| streams.flush(ChannelId(1), &masker)).map(|out| out.stream).collect();
    assert_eq!(flushed, [OutputStream::Stdout, OutputStream::Stderr]);
    streams.close(ChannelId(1));
    assert!(streams.0.is_empty());
}

#[test]
fn what_is_kept_has_a_limit() {
    let (masker, mut streams) = (masker(Action::Label), Streams::default());
    for _ in 0..2_000 {
        let mut output = output(&[b'a'; 100], true);
        streams.output(&mut output, &masker);
        let line = &streams.0[&(ChannelId(1), OutputStream::Stdout)].line;
        assert!(line.held().len() <= MAX_HELD);
    }
}

/// What was found by looking for lines that show something else in pieces.
#[test]
fn an_edited_line_shows_the_same_in_pieces() {
    let named = "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let returns = format!("{}AKIAIOSFODNN7EXAMPLE{}4111 1111 11 \r11 1111{KEY}", CARD.repeat(3), named.repeat(2));
    let goes_back = format!("{}4111 1111 1111 111x\x08 \x081{named}", named.repeat(3));
    let far_back = format!("{}4111 111\r{}1 1111 1111\r\n", "a ".repeat(600), "\x1b[C".repeat(1208));
    for (text, terminal) in [
        (returns.as_str(), false),
        (goes_back.as_str(), false),
        (&far_back, true),
        ("adaX\x08@example.com ok\n", true),
        ("name ada\r@\n", true),
        ("to be masked\r4111\x1b[C1111 1111 1111\n", true),
        ("4111 1111 11\x07\x1b]0;a title\x0711 1111 ok\n", true),
        ("\x1b]0;mail ada@example.com, or not\x07ada\x1b[0m@example.com \n", true),
    ] {
        let whole = whole(text, terminal);
        for cut in 1..=64.min(text.len()) {
            assert_eq!(shown(text.as_bytes().chunks(cut), terminal), whole, "{text:?} in pieces of {cut}");
        }
    }
}

#[test]
fn what_a_terminal_does_not_show_does_not_hide_a_value() {
    for text in ["4111\x07 1111 1111 1111\r\n", "4111\0 1111 1111 1111\n", "4111 1111\x1b]0;x\x07 1111 1111\n"] {
        assert!(!whole(text, true).contains("11"), "{text:?}");
    }
    assert!(!whole("\x1b]0;ada@example.com\x07\n", true).contains("ada@"));
}

#[test]
fn what_is_too_long_is_cut_at_the_same_place() {
    let long = format!("{}{CARD} {EMAIL}", "a-".repeat(MAX_HELD));
    for text in [format!("{long}\n{EMAIL}\n"), format!("x\x08{long}\r\n"), format!("4 {}{CARD}", "x ".repeat(9_000))] {
        let whole = whole(&text, true);
        for cut in [1_000, 4_095, MAX_HELD, MAX_HELD + 1] {
            assert!(shown(text.as_bytes().chunks(cut), true) == whole, "in pieces of {cut}");
        }
    }
}

#[test]
fn a_long_word_hides_no_value() {
    let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", "eyJz".repeat(5_000));
    let shown_token = whole(&format!("x {token} ok\n"), true);
    assert!(shown_token.starts_with("x [jwt]***") && shown_token.ends_with("*** ok\n"));
    assert!(!shown_token.contains("eyJ") && !shown_token.contains("c2ln"));
    let json = format!("{{\"mail\":\"{EMAIL}\",\"card\":\"4111111111111111\"}},").repeat(500) + "\n";
    for cut in [100, 1_000, json.len()] {
        let shown = shown(json.as_bytes().chunks(cut), false);
        assert_eq!(shown, "{\"mail\":\"[email]\",\"card\":\"[card]\"},".repeat(500) + "\n");
    }
}

/// Values, and what stands between and in them.
fn parts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just(CARD.to_owned()),
        Just(EMAIL.to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("+49 171 1234567".to_owned()),
        Just("10.20.30.40".to_owned()),
        Just("fe80::1:2".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        Just("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl".to_owned()),
        Just("４１１１ １１１１ １１１１ １１１１".to_owned()),
        Just(KEY.to_owned()),
        Just(KEY.replace('\n', "\r\n")),
        Just("4111\x1b[1m 1111 \x1b[0m1111 1111".to_owned()),
        Just("4111 1111 11 \r11 1111".to_owned()),
        Just("4111 1111 1111 111x\x08 \x081".to_owned()),
        Just("adaX\x08@example.com".to_owned()),
        Just("\x1b]0;ada@example.com\x07".to_owned()),
        Just("words without anything ".repeat(30)),
        Just("-".repeat(600)),
        prop_oneof![
            Just(" "),
            Just("\n"),
            Just("\r\n"),
            Just("\t"),
            Just("\x1b[31m"),
            Just("\x1b[K"),
            Just("\x1b[1K"),
            Just("\x1b[5;5H"),
            Just("\x1b[3D"),
            Just("\x08"),
            Just("\r"),
            Just("\x07")
        ]
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
        "[0-9 .@é-]{0,30}",
    ];
    proptest::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
}

/// What is typed, and what is written then.
fn turn() -> impl Strategy<Value = (String, String)> {
    let part = || {
        prop_oneof![
            4 => "[0-9a-z .@-]{1,2}",
            1 => Just("4111".to_owned()),
            1 => Just(" 1111 1111 1111".to_owned()),
            1 => Just("ada@".to_owned()),
            1 => Just("example.com".to_owned()),
            1 => Just("10.20.".to_owned()),
            1 => Just("30.40".to_owned()),
            1 => Just(" ".to_owned()),
            1 => Just("\r\n".to_owned()),
        ]
    };
    (prop_oneof![2 => Just(String::new()), 3 => part()], prop_oneof![3 => Just(String::new()), 2 => part()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_split_shows_the_same(text in parts(), pieces in proptest::collection::vec(1_usize..40, 1..20), terminal: bool) {
        // What begins as data, by its first piece, is not looked at: without a terminal there are no zero bytes in a text.
        let text = if terminal { text } else { text.replace('\0', " ") };
        let mut rest = text.as_bytes();
        let mut split = Vec::new();
        for length in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*length).min(rest.len()));
            split.push(now);
            rest = later;
        }
        prop_assert_eq!(shown(split, terminal), whole(&text, terminal));
    }

    #[test]
    fn a_canary_is_in_no_piece(
        before in "[a-z \r\n]{0,40}",
        between in "[a-z \r\n]{0,40}",
        at in 0_usize..19,
        sequence in prop_oneof![Just(""), Just("\x1b[m"), Just("\x1b[38;5;1m"), Just("\x1b[?25l"), Just("\x1b(B")],
        cut in 1_usize..60,
        terminal: bool,
    ) {
        let card = format!("{}{sequence}{}", &CARD[..at], &CARD[at..]);
        let text = format!("{before} {card} {between} {EMAIL} {between}");
        let shown = shown(text.as_bytes().chunks(cut), terminal).replace(sequence, "");
        prop_assert!(!shown.contains("1111") && !shown.contains("ada@") && !shown.contains("example"), "{}", shown);
    }

    #[test]
    fn an_echo_shows_nothing_but_what_was_typed(said in proptest::collection::vec(turn(), 1..40)) {
        let (masker, mut believing, mut wary) = (masker(Action::Label), Streams::default(), Streams::default());
        let (mut typed, mut echo, mut written) = (String::new(), Vec::new(), String::new());
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (keys, text) in &said {
            typed.push_str(keys);
            believing.typed(ChannelId(1), keys.as_bytes());
            // An empty text stands for the echo.
            let text = if text.is_empty() { typed.clone() } else { text.clone() };
            let is_echo = typed.starts_with(&text);
            echo.resize(echo.len() + text.len(), is_echo);
            typed = if is_echo { typed.split_off(text.len()) } else { String::new() };
            for (streams, shown) in [(&mut believing, &mut with), (&mut wary, &mut without)] {
                let mut output = output(text.as_bytes(), true);
                streams.output(&mut output, &masker);
                shown.extend_from_slice(&output.bytes);
            }
            written.push_str(&text);
        }
        for (streams, shown) in [(&mut believing, &mut with), (&mut wary, &mut without)] {
            while let Some(output) = streams.flush(ChannelId(1), &masker) {
                shown.extend_from_slice(&output.bytes);
            }
        }
        prop_assert_eq!(with.len(), written.len());
        for (at, byte) in written.bytes().enumerate() {
            let disclosed = with[at] == byte && without[at] != byte;
            prop_assert!(!disclosed || echo[at], "{:?} at {} of {:?}", said, at, String::from_utf8_lossy(&with));
        }
    }

    #[test]
    fn any_bytes_break_nothing(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20), terminal: bool) {
        shown(pieces.iter().map(Vec::as_slice), terminal);
    }
}
