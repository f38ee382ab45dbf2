//! What is typed on a terminal: held until it shows whether the program echoes it, and read from the screen when it is entered.
//!
//! Both are best effort. Whether something is a secret is known to the program alone; here it is taken for one when the line
//! before the cursor asks for one, or when what was typed did not appear. The line that was entered is what the screen shows
//! then: a shell is a shell, and what it does with the line, or with a script, is not seen.

use hoop_proto::terminal::lex::{Lexer, Token};
use hoop_proto::terminal::screen::{Place, Screen};
use memchr::memchr;

/// Most bytes that are held.
const MAX_TYPED: usize = 1 << 10;
/// A longer piece of output is read from the screen only at its end, in bytes.
const LONG: usize = 16 << 10;

/// A terminal of a program.
#[derive(Debug)]
pub(super) struct Terminal {
    screen: Screen,
    /// What was typed and is not recorded yet: a line, and what was typed ahead of it.
    held: Vec<u8>,
    /// How much of the first line's characters has appeared.
    echoed: usize,
    /// Whether the first line answers a question for a secret.
    secret: bool,
    /// Where the first line begins on the screen; nothing when it was typed ahead.
    from: Option<Place>,
    /// Whether a line has ended on the screen since the first line was typed ahead.
    passed: bool,
    echo: Lexer,
}

/// Something typed, as it is to be recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// The bytes; asterisks in their place when they are hidden.
    pub(super) bytes: Vec<u8>,
    pub(super) hidden: bool,
    /// The line that was entered with it, as the screen showed it.
    pub(super) line: Option<String>,
}

impl Terminal {
    pub(super) fn new(columns: u32, rows: u32) -> Self {
        Self {
            screen: Screen::new(columns, rows),
            held: Vec::new(),
            echoed: 0,
            secret: false,
            from: None,
            passed: false,
            echo: Lexer::new(),
        }
    }

    pub(super) fn resize(&mut self, columns: u32, rows: u32) {
        self.screen.resize(columns, rows);
    }

    /// Something is typed. Gives what is to be recorded now.
    pub(super) fn input(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        if bytes.is_empty() {
            return typed;
        }
        while self.passed && self.ends().is_some() {
            typed.push(self.take(None));
        }
        if self.held.is_empty() {
            self.from = Some(self.screen.cursor());
            self.secret = asks_secret(&self.screen.line());
        }
        self.held.extend_from_slice(bytes);
        while self.held.len() > MAX_TYPED {
            typed.push(self.take(None));
        }
        typed
    }

    /// The program writes. Gives what is to be recorded before it.
    pub(super) fn output(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.held.is_empty() {
                self.write(rest);
                break;
            }
            let feed = memchr(b'\n', rest);
            let (line, after) = rest.split_at(feed.unwrap_or(rest.len()));
            self.compare(line);
            self.write(line);
            if feed.is_some() {
                typed.extend(self.line_ended());
            }
            let (feed, after) = after.split_at(usize::from(feed.is_some()));
            self.write(feed);
            rest = after;
        }
        typed
    }

    /// Nothing more comes: the rest of what is to be recorded.
    pub(super) fn end(&mut self) -> Vec<Typed> {
        let mut typed = Vec::new();
        while !self.held.is_empty() {
            typed.push(self.take(None));
        }
        typed
    }

    fn write(&mut self, bytes: &[u8]) {
        match bytes.len() {
            ..LONG => self.screen.write(bytes, |_| {}),
            _ => self.screen.write_end(bytes),
        }
    }

    /// A line ends on the screen: that in which the first of what is typed should have appeared.
    fn line_ended(&mut self) -> Option<Typed> {
        self.ends()?;
        let shown = self.screen.line();
        self.secret |= self.from.is_none() && asks_secret(&shown);
        if self.from.is_none() && !self.secret && self.echoed < self.characters().len() {
            // Something else was still being written.
            self.passed = true;
            return None;
        }
        let line = self.from.map_or(shown, |from| self.screen.line_from(from));
        Some(self.take((!self.screen.is_alternate()).then_some(line)))
    }

    /// How much of what is held is the first line; nothing while it is not entered.
    fn ends(&self) -> Option<usize> {
        // Enter, and what a terminal makes an end or an interrupt of.
        let end = self.held.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0x03 | 0x04 | 0x1a | 0x1c))?;
        let is_pair = self.held.get(end..end + 2) == Some(b"\r\n");
        Some(end + 1 + usize::from(is_pair))
    }

    /// The printable characters of the first line.
    fn characters(&self) -> Vec<u8> {
        let line = self.held.get(..self.ends().unwrap_or(self.held.len())).unwrap_or_default();
        let (mut lexer, mut at, mut characters) = (Lexer::new(), 0, Vec::new());
        while let Some((token, length)) = lexer.next(line.get(at..).unwrap_or_default()) {
            match token {
                Token::Text(text) => characters.extend_from_slice(text),
                // A key of the other set, such as an arrow: one character follows.
                Token::Escape(b"O") => at += 1,
                _ => {}
            }
            at += length;
        }
        characters
    }

    /// Looks for what was typed in what is written.
    fn compare(&mut self, written: &[u8]) {
        let characters = self.characters();
        let mut at = 0;
        while let Some((token, length)) = self.echo.next(written.get(at..).unwrap_or_default()) {
            if let Token::Text(text) = token {
                for byte in text {
                    self.echoed += usize::from(characters.get(self.echoed) == Some(byte));
                }
            }
            at += length;
        }
    }

    /// Takes the first line, or all that is held when it is not entered.
    fn take(&mut self, line: Option<String>) -> Typed {
        let hidden = self.secret || self.echoed < self.characters().len();
        let rest = self.held.split_off(self.ends().unwrap_or(self.held.len()));
        let mut bytes = std::mem::replace(&mut self.held, rest);
        if hidden {
            bytes.iter_mut().filter(|byte| !matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b'*');
        }
        (self.echoed, self.secret, self.from, self.passed) = (0, false, None, false);
        Typed { bytes, hidden, line: line.filter(|line| !hidden && !line.is_empty()) }
    }
}

/// Words of questions for secrets, in lower case.
const SECRETS: [&str; 32] = [
    "password",
    "passwd",
    "passphrase",
    "pass phrase",
    "passcode",
    "passkey",
    "secret",
    "verification code",
    "authenticator code",
    "one-time",
    "contraseña",
    "mot de passe",
    "phrase de passe",
    "phrase secrète",
    "passwort",
    "kennwort",
    "passphrase",
    "senha",
    "palavra-passe",
    "wachtwoord",
    "parola",
    "hasło",
    "heslo",
    "lösenord",
    "adgangskode",
    "salasana",
    "şifre",
    "пароль",
    "密码",
    "密碼",
    "パスワード",
    "비밀번호",
];
/// Short ones, which are also parts of other words.
const SHORT_SECRETS: [&str; 7] = ["pin", "otp", "token", "totp", "mfa", "암호", "2fa"];
/// How far before its end a question is read, in characters.
const QUESTION: usize = 80;

/// Whether a line, up to the cursor, asks for a secret.
fn asks_secret(line: &str) -> bool {
    let line = line.trim_end().to_lowercase();
    if !line.ends_with([':', '?', '：', '？', '>']) {
        return false;
    }
    let start = line.char_indices().rev().nth(QUESTION).map_or(0, |(at, _)| at);
    let question = line.get(start..).unwrap_or_default();
    SECRETS.iter().any(|word| question.contains(word))
        || question.split(|char: char| !char.is_alphanumeric()).any(|word| SHORT_SECRETS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is recorded of a dialogue: what is typed, and what is written.
    fn recorded(dialogue: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let mut terminal = Terminal::new(80, 24);
        let mut typed = Vec::new();
        for (input, output) in dialogue {
            typed.extend(terminal.input(input.as_bytes()));
            typed.extend(terminal.output(output.as_bytes()));
        }
        typed.extend(terminal.end());
        assert!(terminal.screen.size() + terminal.held.capacity() < 20 << 10);
        typed.into_iter().map(|typed| (String::from_utf8_lossy(&typed.bytes).into_owned(), typed.line)).collect()
    }

    fn line(bytes: &str, line: &str) -> (String, Option<String>) {
        (bytes.to_owned(), Some(line.to_owned()))
    }

    fn alone(bytes: &str) -> (String, Option<String>) {
        (bytes.to_owned(), None)
    }

    #[test]
    fn a_line_that_appears_is_recorded_as_it_was_entered() {
        let typed = recorded(&[("", "$ "), ("l", "l"), ("s", "s"), ("\r", "\r\nbin\r\n$ ")]);
        assert_eq!(typed, [line("ls\r", "ls")]);
        let pasted = recorded(&[("", "\x1b[32m$\x1b[0m "), ("ls\r", ""), ("", "ls\r\nbin\r\n$ ")]);
        assert_eq!(pasted, [line("ls\r", "ls")]);
        let completed = recorded(&[("", "$ "), ("cat f", "cat f"), ("\t", "oo.txt "), ("\r", "\r\n$ ")]);
        assert_eq!(completed, [line("cat f\t\r", "cat foo.txt")]);
        let corrected = recorded(&[("", "$ "), ("lx", "lx"), ("\x7f", "\x08\x1b[K"), ("s\r", "s\r\n$ ")]);
        assert_eq!(corrected, [line("lx\x7fs\r", "ls")]);
        let again = recorded(&[("", "$ "), ("\x1b[A", "make test"), ("\x1bOA", "\r\x1b[K$ make"), ("\r", "\r\n")]);
        assert_eq!(again, [line("\x1b[A\x1bOA\r", "make")]);
    }

    #[test]
    fn what_does_not_appear_is_hidden() {
        let sudo = recorded(&[("", "[sudo] password for ada: "), ("hunter2", ""), ("\r", "\r\n# ")]);
        assert_eq!(sudo, [alone("*******\r")]);
        let silent = recorded(&[("", "say: "), ("hunter2", ""), ("\r", "\r\n$ ")]);
        assert_eq!(silent, [alone("*******\r")]);
        let stars = recorded(&[("", "x: "), ("ab", "**"), ("\r", "\r\n")]);
        assert_eq!(stars, [alone("**\r")]);
        let shown = recorded(&[("", "Password: "), ("ab", "ab"), ("\r", "\r\n")]);
        assert_eq!(shown, [alone("**\r")], "who asks for a secret gets one");
        let lost = recorded(&[("", "Password: "), ("ab", "")]);
        assert_eq!(lost, [alone("**")], "the session has ended");
    }

    #[test]
    fn what_is_typed_ahead_is_told_apart_later() {
        let pasted = recorded(&[("", "$ "), ("ls\rpwd\r", "ls\r\nbin\r\n"), ("", "$ pwd\r\n/\r\n$ ")]);
        assert_eq!(pasted, [line("ls\r", "ls"), line("pwd\r", "$ pwd")]);
        let secret = recorded(&[("", "$ "), ("sudo x\rpw\r", "sudo x\r\nPassword: \r\n"), ("", "# ")]);
        assert_eq!(secret, [line("sudo x\r", "sudo x"), alone("**\r")]);
        let silent = recorded(&[("", "$ "), ("read -s\rpw\r", "read -s\r\n\r\n$ "), ("x\r", "x\r\n")]);
        assert_eq!(silent, [line("read -s\r", "read -s"), alone("**\r"), line("x\r", "x")]);
    }

    #[test]
    fn an_editor_has_no_lines() {
        let typed = recorded(&[("", "\x1b[?1049h\x1b[2J"), ("ihi\r", "hi\r\n"), ("", "\x1b[?1049l")]);
        assert_eq!(typed, [alone("***\r")]);
    }

    #[test]
    fn what_is_held_has_a_limit_and_nothing_is_lost() {
        let mut terminal = Terminal::new(80, 24);
        let mut bytes = 0;
        for _ in 0..100 {
            bytes += terminal.input(&[b'x'; 100]).iter().map(|typed| typed.bytes.len()).sum::<usize>();
            assert!(terminal.held.len() <= MAX_TYPED);
        }
        bytes += terminal.end().iter().map(|typed| typed.bytes.len()).sum::<usize>();
        assert_eq!(bytes, 10_000);
    }

    #[test]
    fn long_output_leaves_the_prompt() {
        let long = format!("{}\r\n$ ", "x".repeat(70).repeat(1_000));
        let typed = recorded(&[("cat x\r", "cat x\r\n"), ("", &long), ("ls\r", "ls\r\n")]);
        assert_eq!(typed, [line("cat x\r", "cat x"), line("ls\r", "ls")]);
    }

    #[test]
    fn questions_for_secrets() {
        for question in [
            "[sudo] password for ada: ",
            "Enter passphrase for key '/home/ada/.ssh/id_ed25519': ",
            "ada@host's password: ",
            "Contraseña: ",
            "Mot de passe :",
            "Введите пароль: ",
            "密码：",
            "Enter PIN for 'card':",
            "OTP> ",
            "Verification code: ",
        ] {
            assert!(asks_secret(question), "{question}");
        }
        for other in ["$ ", "ada@host:~$ ", "spinning: ", "password changed", "Continue? ", "tokens used: 5"] {
            assert!(!asks_secret(other), "{other}");
        }
    }
}
