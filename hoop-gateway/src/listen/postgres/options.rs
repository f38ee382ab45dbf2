//! What a client says to the gateway among the settings of its session: `hoop.reason`, what the session is for. It comes
//! as a parameter of the StartupMessage or, as libpq's `options` and PGOPTIONS have it, as a word of `options`. The
//! server hears nothing of it.

use bytes::{BufMut as _, Bytes, BytesMut};
use hoop_core::{Code, Denial};
use hoop_proto::postgres::startup::StartupMessage;

/// The setting.
const REASON: &[u8] = b"hoop.reason";
/// Longest reason, in bytes.
const MAX_REASON_BYTES: usize = 4096;

/// What is for the gateway, and what is left for the server.
pub(super) struct Settings {
    /// What the session is for, where anything is said.
    pub(super) reason: Option<String>,
    /// The parameters for the server.
    pub(super) parameters: Vec<(Bytes, Bytes)>,
}

impl Settings {
    /// Takes the gateway's own out of a StartupMessage. Of several reasons the last one counts, as the server has it.
    ///
    /// # Errors
    /// A refusal when the reason is too long.
    pub(super) fn of(message: &StartupMessage) -> Result<Self, Denial> {
        let mut settings = Self { reason: None, parameters: Vec::with_capacity(message.parameters.len()) };
        let mut reason = None;
        for (name, value) in &message.parameters {
            match &name[..] {
                name if name.eq_ignore_ascii_case(REASON) => reason = Some(value.to_vec()),
                b"options" => {
                    let (rest, found) = split(value);
                    reason = found.or(reason);
                    if let Some(rest) = rest {
                        settings.parameters.push((name.clone(), rest));
                    }
                }
                _ => settings.parameters.push((name.clone(), value.clone())),
            }
        }
        settings.reason = reason.map(|reason| String::from_utf8_lossy(&reason).trim().to_owned());
        settings.reason = settings.reason.filter(|reason| !reason.is_empty());
        match &settings.reason {
            Some(reason) if reason.len() > MAX_REASON_BYTES => {
                let text = format!("the reason is longer than {MAX_REASON_BYTES} bytes");
                Err(Denial::new("gateway", Code::InvalidRequest, text).hint("say it in fewer words"))
            }
            _ => Ok(settings),
        }
    }
}

/// Settings that clients bring along by themselves, and that decide about nothing. Some are no settings of the server.
const USUAL: [&str; 7] = [
    "application_name",
    "client_encoding",
    "datestyle",
    "timezone",
    "intervalstyle",
    "extra_float_digits",
    "replication",
];

/// What a client set at its login, as the statements that would have set it: without them a role that it takes there would be
/// in no log, and no rule would be asked about it.
pub(super) fn statements<'a>(parameters: impl IntoIterator<Item = (&'a Bytes, &'a Bytes)>) -> Vec<Bytes> {
    let mut found = Vec::new();
    for (name, value) in parameters {
        match &name[..] {
            b"options" => found.extend(of_options(value)),
            name => found.push((String::from_utf8_lossy(name).into_owned(), value.to_vec())),
        }
    }
    let is_usual = |name: &str| USUAL.contains(&name.to_ascii_lowercase().as_str());
    let said = found.into_iter().filter(|(name, _)| !is_usual(name));
    said.map(|(name, value)| {
        let (name, value) = (name.replace('"', "\"\""), String::from_utf8_lossy(&value).replace('\'', "''"));
        Bytes::from(format!("SET \"{name}\" TO '{value}'"))
    })
    .collect()
}

/// The settings of `options`; what is another switch stands there as it is.
fn of_options(options: &Bytes) -> Vec<(String, Vec<u8>)> {
    let mut words = Words { options, at: 0 };
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let inline = word.text.strip_prefix(b"-c").or_else(|| word.text.strip_prefix(b"--"));
        let setting = match inline {
            Some(b"") if word.text == b"-c" => words.next().map(|next| next.text),
            inline => inline.map(<[u8]>::to_vec),
        };
        let pair = setting.as_deref().and_then(|setting| {
            let at = setting.iter().position(|byte| *byte == b'=')?;
            // The server takes one for the other there.
            let name = String::from_utf8_lossy(setting.get(..at)?).replace('-', "_");
            Some((name, setting.get(at + 1..)?.to_vec()))
        });
        found.push(pair.unwrap_or_else(|| ("options".to_owned(), setting.unwrap_or(word.text))));
    }
    found
}

/// What is left of the options, and the reason among them. Options without one are left as they are.
fn split(options: &Bytes) -> (Option<Bytes>, Option<Vec<u8>>) {
    let mut rest = BytesMut::new();
    let mut reason = None;
    let mut words = Words { options, at: 0 }.peekable();
    while let Some(word) = words.next() {
        let inline = word.text.strip_prefix(b"-c").or_else(|| word.text.strip_prefix(b"--"));
        let found = match inline {
            Some(b"") if word.text == b"-c" => words.next_if(|next| value(&next.text).is_some()).map(|next| next.text),
            Some(setting) => Some(setting.to_vec()),
            None => None,
        };
        match found.as_deref().and_then(value) {
            Some(value) => reason = Some(value.to_vec()),
            None => {
                if !rest.is_empty() {
                    rest.put_u8(b' ');
                }
                rest.extend_from_slice(word.raw);
            }
        }
    }
    match reason {
        None => (Some(options.clone()), None),
        some => ((!rest.is_empty()).then(|| rest.freeze()), some),
    }
}

/// The value of a `name=value` that is the reason.
fn value(setting: &[u8]) -> Option<&[u8]> {
    let (name, value) = setting.split_at_checked(REASON.len())?;
    if name.eq_ignore_ascii_case(REASON) { value.strip_prefix(b"=") } else { None }
}

/// A word of the options: its bytes, and what they mean.
struct Word<'a> {
    raw: &'a [u8],
    text: Vec<u8>,
}

/// The words of the options, as the server splits them: white space parts them, and a backslash takes what follows as it
/// is ([PostgreSQL, Connection Parameter `options`]).
///
/// [PostgreSQL, Connection Parameter `options`]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
struct Words<'a> {
    options: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == b'\x0b';
        let left = self.options.get(self.at..)?;
        let begin = self.at + left.iter().position(|byte| !is_space(*byte))?;
        let (mut end, mut text, mut escaped) = (begin, Vec::new(), false);
        for byte in self.options.get(begin..).unwrap_or_default() {
            if !escaped && is_space(*byte) {
                break;
            }
            escaped = !escaped && *byte == b'\\';
            if !escaped {
                text.push(*byte);
            }
            end += 1;
        }
        self.at = end;
        Some(Word { raw: self.options.get(begin..end).unwrap_or_default(), text })
    }
}

#[cfg(test)]
mod tests {
    use hoop_proto::postgres::startup::PROTOCOL_3_0;
    use proptest::prelude::*;

    use super::*;

    fn settings(parameters: &[(&str, &str)]) -> Result<Settings, Denial> {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let parameters = parameters.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        Settings::of(&StartupMessage { protocol: PROTOCOL_3_0, parameters })
    }

    #[test]
    fn the_reason_is_taken_out() {
        for (options, reason, rest) in [
            ("-c hoop.reason=ticket", Some("ticket"), None),
            ("-choop.reason=ticket", Some("ticket"), None),
            ("--hoop.reason=ticket", Some("ticket"), None),
            (r"-c hoop.reason=fix\ the\ order\\s", Some(r"fix the order\s"), None),
            (
                "-c work_mem=1MB  -c Hoop.Reason=a=b -c search_path=x",
                Some("a=b"),
                Some("-c work_mem=1MB -c search_path=x"),
            ),
            ("-c hoop.reason=one -c hoop.reason=two", Some("two"), None),
            (r"-c search_path=a\ b -c hoop.reason=x", Some("x"), Some(r"-c search_path=a\ b")),
            ("-c hoop.reason=", None, None),
            // What is none of ours stays, to the byte.
            ("  -c  work_mem=1MB ", None, Some("  -c  work_mem=1MB ")),
            ("-c hoop.reasons=x", None, Some("-c hoop.reasons=x")),
            ("-c -c hoop.reason=x", Some("x"), Some("-c")),
            ("-c", None, Some("-c")),
            ("", None, Some("")),
            ("\\", None, Some("\\")),
        ] {
            let found = settings(&[("user", "u"), ("options", options)]).expect("short");
            assert_eq!(found.reason.as_deref(), reason, "{options}");
            let left = found.parameters.iter().find(|(name, _)| name == "options");
            assert_eq!(left.map(|(_, value)| &value[..]), rest.map(str::as_bytes), "{options}");
            assert_eq!(found.parameters[0].0, "user");
        }
    }

    #[test]
    fn what_is_set_at_the_login_reads_as_it_would_be_set_later() {
        let said = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(Bytes, Bytes)> =
                pairs.iter().map(|(name, value)| (name.to_string().into(), value.to_string().into())).collect();
            let statements = statements(pairs.iter().map(|(name, value)| (name, value)));
            statements.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>()
        };
        assert!(said(&[("client_encoding", "UTF8"), ("DateStyle", "ISO"), ("application_name", "psql")]).is_empty());
        assert_eq!(said(&[("role", "o'neill")]), [r#"SET "role" TO 'o''neill'"#]);
        assert_eq!(
            said(&[("options", r"-c role=a\ b --search-path=x -cROLE=c -c TimeZone=UTC -e")]),
            [
                r#"SET "role" TO 'a b'"#,
                r#"SET "search_path" TO 'x'"#,
                r#"SET "ROLE" TO 'c'"#,
                r#"SET "options" TO '-e'"#,
            ]
        );
    }

    #[test]
    fn it_may_be_a_parameter_of_its_own() {
        let found = settings(&[("user", "u"), ("hoop.reason", " ticket 7 ")]).expect("short");
        assert_eq!((found.reason.as_deref(), found.parameters.len()), (Some("ticket 7"), 1));
        let long = settings(&[("hoop.reason", &"x".repeat(MAX_REASON_BYTES + 1))]);
        assert_eq!(long.err().expect("too long").code, Code::InvalidRequest);
    }

    proptest! {
        #[test]
        fn any_options_are_split(options in prop::collection::vec(any::<u8>(), 0..64)) {
            let options = Bytes::from(options);
            let words: Vec<_> = Words { options: &options, at: 0 }.collect();
            prop_assert!(words.iter().all(|word| !word.raw.is_empty()));
            split(&options);
        }
    }
}
