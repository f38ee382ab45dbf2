//! The token of a request: a credential's login and password in one word, or as a user and a password.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hoop_core::{Code, Denial, Secret};
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use sha2::{Digest as _, Sha256};

use crate::auth::credential::WEB_TOKEN_PREFIX;
use crate::proxy::http::OWN_COOKIES;

/// A field for the token, where the target needs `Authorization`.
const HOOP_TOKEN: HeaderName = HeaderName::from_static("hoop-token");
/// The cookie with the token. The prefix binds it to one origin, over TLS or on the machine itself.
pub(super) const SESSION_COOKIE: &str = OWN_COOKIES;

/// What sessions are found by: a hash, so that no token lies in a map.
pub(crate) type Key = [u8; 32];

/// A credential's login and password.
pub(super) struct Token {
    pub(super) login: String,
    pub(super) password: Secret<String>,
    pub(super) from_browser: bool,
}

/// Who shows a token.
pub(super) enum Shown {
    /// A program, in a field.
    Program(Token),
    /// A browser, in a cookie: it does so whoever has made it ask.
    Browser(Token),
    /// Nobody.
    Nothing,
}

impl Token {
    pub(super) fn key(&self) -> Key {
        let mut hash = Sha256::new();
        hash.update((self.login.len() as u64).to_be_bytes());
        hash.update(self.login.as_bytes());
        hash.update(self.password.expose().as_bytes());
        hash.finalize().into()
    }

    /// `hoopw_<login>.<password>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (login, password) = text.strip_prefix(WEB_TOKEN_PREFIX)?.rsplit_once('.')?;
        Some(Self { login: login.to_owned(), password: Secret::new(password.to_owned()), from_browser: false })
    }

    fn basic(text: &str) -> Option<Self> {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
        let (login, password) = decoded.split_once(':')?;
        // A token alone does, too, as the user or as the password.
        let alone = [login, password].into_iter().find_map(Self::parse);
        alone.or_else(|| {
            let password = Secret::new(password.to_owned());
            Some(Self { login: login.to_owned(), password, from_browser: false })
        })
    }

    fn of(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?.trim();
        let (scheme, rest) = text.split_once(' ').unwrap_or(("", text));
        match scheme {
            scheme if scheme.eq_ignore_ascii_case("bearer") => Self::parse(rest.trim()),
            scheme if scheme.eq_ignore_ascii_case("basic") => Self::basic(rest.trim()),
            "" => Self::parse(rest),
            _ => None,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("login", &self.login).finish_non_exhaustive()
    }
}

/// Takes the token out of the fields of a request: it goes to no target. Where several fields could have it, the first of
/// `Hoop-Token`, `Proxy-Authorization` and `Authorization` is it, and what stands in the others goes on.
///
/// # Errors
/// [`Code::LoginFailed`] for a field that is for a token and has none.
pub(super) fn take(headers: &mut HeaderMap) -> Result<Shown, Denial> {
    let cookie = take_cookie(headers);
    for name in [HOOP_TOKEN, PROXY_AUTHORIZATION] {
        let mut values = headers.get_all(&name).iter();
        let Some(value) = values.next() else { continue };
        let token = Token::of(value).filter(|_| values.next().is_none()).ok_or_else(|| unreadable(&name))?;
        headers.remove(&name);
        // Who shows it in two places does not mean one of them for the target.
        if headers.get_all(AUTHORIZATION).iter().filter_map(Token::of).any(|other| other.login == token.login) {
            headers.remove(AUTHORIZATION);
        }
        return Ok(Shown::Program(token));
    }
    // A user and a password beside a cookie are those of the target.
    let may_be_ours = |value: &&HeaderValue| cookie.is_none() || !is_basic(value);
    if let Some(token) = headers.get(AUTHORIZATION).filter(may_be_ours).and_then(Token::of) {
        headers.remove(AUTHORIZATION);
        return Ok(Shown::Program(token));
    }
    Ok(cookie.map_or(Shown::Nothing, |token| Shown::Browser(Token { from_browser: true, ..token })))
}

fn is_basic(value: &HeaderValue) -> bool {
    value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
}

/// Takes the gateway's own cookies out of the others, which go on byte for byte: they need be no text.
fn take_cookie(headers: &mut HeaderMap) -> Option<Token> {
    let mut token = None;
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut own = false;
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    for pair in pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        let begin = name.get(..OWN_COOKIES.len());
        if !begin.is_some_and(|begin| begin.eq_ignore_ascii_case(OWN_COOKIES.as_bytes())) {
            kept.push(pair);
            continue;
        }
        own = true;
        let text = std::str::from_utf8(pair).ok().and_then(|pair| pair.split_once('='));
        if let Some((_, value)) = text.filter(|(name, _)| *name == SESSION_COOKIE) {
            token = Token::parse(value);
        }
    }
    if own {
        let kept = kept.join(&b"; "[..]);
        headers.remove(COOKIE);
        if let Ok(value) = HeaderValue::from_bytes(&kept)
            && !kept.is_empty()
        {
            headers.insert(COOKIE, value);
        }
    }
    token
}

fn unreadable(name: &HeaderName) -> Denial {
    Denial::new("gateway", Code::LoginFailed, format!("{name} has no token of this gateway"))
        .hint("get one: hoop connect ROLE --print url, or POST /api/v1/roles/{name}/credentials")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn login(shown: &Shown) -> &str {
        match shown {
            Shown::Program(token) | Shown::Browser(token) => &token.login,
            Shown::Nothing => "",
        }
    }

    #[test]
    fn a_token_is_found_where_it_may_stand_and_goes_no_further() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("app-abc:secret"));
        let alone = format!("basic {}", BASE64_STANDARD.encode("x:hoopw_app-abc.secret"));
        for (name, value) in [
            ("hoop-token", "hoopw_app-abc.secret"),
            ("hoop-token", "Bearer hoopw_app-abc.secret"),
            ("proxy-authorization", "Bearer hoopw_app-abc.secret"),
            ("proxy-authorization", &*basic),
            ("authorization", "bearer hoopw_app-abc.secret"),
            ("authorization", &*basic),
            ("authorization", &*alone),
            ("cookie", "a=b; __Host-hoop=hoopw_app-abc.secret; c=d"),
        ] {
            let mut fields = headers(&[(name, value)]);
            let shown = take(&mut fields).expect("a token");
            assert_eq!(login(&shown), "app-abc", "{name}: {value}");
            let rest: Vec<_> =
                fields.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
            assert_eq!(rest, if name == "cookie" { vec![("cookie", "a=b; c=d")] } else { vec![] });
        }
    }

    #[test]
    fn what_is_the_target_s_own_goes_on() {
        let mut fields =
            headers(&[("hoop-token", "hoopw_a-b.c"), ("authorization", "Bearer theirs"), ("cookie", "a=b")]);
        assert_eq!(login(&take(&mut fields).expect("a token")), "a-b");
        let mut twice = headers(&[("hoop-token", "hoopw_a-b.c"), ("authorization", "Bearer hoopw_a-b.c")]);
        assert!(take(&mut twice).is_ok() && twice.is_empty(), "{twice:?}");
        assert!(fields["authorization"] == "Bearer theirs" && fields["cookie"] == "a=b");
        let mut fields = headers(&[("authorization", "Bearer theirs")]);
        assert!(matches!(take(&mut fields).expect("nothing"), Shown::Nothing));
        assert!(fields.contains_key("authorization"));
    }

    #[test]
    fn a_field_for_a_token_has_one() {
        for lines in [
            &[("hoop-token", "theirs")][..],
            &[("proxy-authorization", "Bearer theirs")],
            &[("hoop-token", "hoopw_a.b"), ("hoop-token", "hoopw_c.d")],
        ] {
            assert!(take(&mut headers(lines)).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_token() {
        for cookie in [&b"a=\xff; __Host-hoop=hoopw_a.b"[..], b"__Host-hoop=hoopw_a.b; a=\xff"] {
            let cookie = HeaderValue::from_bytes(cookie).expect("a value");
            let mut browser = HeaderMap::from_iter([(COOKIE, cookie.clone())]);
            assert_eq!(login(&take(&mut browser).expect("a token")), "a");
            assert_eq!(browser[COOKIE].as_bytes(), b"a=\xff");
            let mut program = headers(&[("hoop-token", "hoopw_c.d")]);
            program.insert(COOKIE, cookie);
            assert_eq!(login(&take(&mut program).expect("a token")), "c");
            assert_eq!(program[COOKIE].as_bytes(), b"a=\xff");
        }
    }

    #[test]
    fn a_token_that_is_shown_twice_goes_no_further_behind_another_field() {
        let lines =
            [("hoop-token", "hoopw_a-b.c"), ("authorization", "Basic eDp5"), ("authorization", "Bearer hoopw_a-b.c")];
        let mut fields = headers(&lines);
        assert!(take(&mut fields).is_ok() && fields.is_empty(), "{fields:?}");
    }

    #[test]
    fn cookies_that_only_look_like_ours_go_to_no_target_and_let_nobody_in() {
        let mut fields = headers(&[("cookie", "__host-HOOP=hoopw_a.b; __Host-hoop-x=1")]);
        assert!(matches!(take(&mut fields).expect("nothing"), Shown::Nothing));
        assert!(fields.is_empty());
    }
}
