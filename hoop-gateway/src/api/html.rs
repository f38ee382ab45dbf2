//! Pages for people, without a script. What a page says is text, and is escaped here and nowhere else: who makes a page writes no
//! markup.

use std::fmt::Write as _;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, REFRESH, RETRY_AFTER, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// Text as it stands in an element or between double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The policy of a page: its own style, forms that go to `forms`, and nothing else.
pub(super) fn policy(style: &str, forms: &str) -> String {
    let style = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    )
}

const STYLE: &str = ":root{color-scheme:light dark}*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;\
    padding:3rem 1rem;max-width:26rem}h1{font-size:1.4rem;line-height:1.25;overflow-wrap:anywhere}label{display:block;\
    margin:.75rem 0}input{font:inherit;display:block;width:100%;padding:.5rem;margin-top:.25rem;border:1px solid #767676;\
    border-radius:.25rem;background:Field;color:FieldText}button{font:inherit;padding:.5rem 1.25rem;margin:.75rem .5rem 0 0;\
    border:1px solid #767676;border-radius:.25rem;background:ButtonFace;color:ButtonText;cursor:pointer}button.first{\
    background:#1a56c4;border-color:#1a56c4;color:#fff}:focus-visible{outline:3px solid #4f8df7;outline-offset:2px}\
    dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem}dt{opacity:.8}dd{margin:0;overflow-wrap:anywhere}\
    .alert{border-left:.25rem solid #c62828;padding:.25rem .75rem}";

/// A page.
pub(crate) struct Page {
    status: StatusCode,
    title: String,
    body: String,
    /// Where its forms may lead, beside the gateway itself.
    forms: String,
    retry_after: Option<u64>,
    /// Where the browser goes next by itself, in the form of `Refresh`.
    onwards: Option<String>,
}

impl Page {
    /// A page with this heading.
    pub(crate) fn new(title: &str) -> Self {
        let body = format!("<h1>{}</h1>", escape(title));
        Self {
            status: StatusCode::OK,
            title: escape(title),
            body,
            forms: "'self'".to_owned(),
            retry_after: None,
            onwards: None,
        }
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Seconds after which it may be tried again.
    pub(super) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// What has gone wrong; screen readers say it first.
    pub(crate) fn alert(mut self, text: &str) -> Self {
        let _ = write!(self.body, "<p class=\"alert\" role=\"alert\">{}</p>", escape(text));
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        let _ = write!(self.body, "<p>{}</p>", escape(text));
        self
    }

    /// A link to another page of the gateway.
    pub(super) fn link(mut self, to: &str, text: &str) -> Self {
        let _ = write!(self.body, "<p><a href=\"{}\">{}</a></p>", escape(to), escape(text));
        self
    }

    /// The browser goes on to this URL, which must have been checked. It is no redirect: a form that leads here may lead to no
    /// other origin, and browsers hold redirects against that.
    pub(super) fn goes_to(mut self, url: &str) -> Self {
        self.onwards = Some(format!("0; url={url}"));
        self.link(url, "Go on")
    }

    /// The browser loads the page again after this time, in seconds.
    pub(crate) fn again(mut self, seconds: u64) -> Self {
        self.onwards = Some(seconds.to_string());
        self
    }

    /// Names and what they stand for.
    pub(crate) fn facts(mut self, facts: &[(&str, &str)]) -> Self {
        let rows = facts.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value)));
        let _ = write!(self.body, "<dl>{}</dl>", rows.collect::<String>());
        self
    }

    pub(super) fn form(mut self, form: Form) -> Self {
        let Form { action, fields, buttons } = form;
        let _ = write!(self.body, "<form method=\"post\" action=\"{}\">{fields}{buttons}</form>", escape(&action));
        self
    }

    /// The answer to its form may lead to this origin, which must be one of a URL that was checked.
    pub(super) fn leads_to(mut self, origin: &str) -> Self {
        let _ = write!(self.forms, " {origin}");
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Self { status, title, body, forms, retry_after, onwards } = self;
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title} · Hoop</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>"
        );
        let mut response = (status, html).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        // With less, browsers would not say in `Origin` that a form is the gateway's own.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Some(Ok(onwards)) = onwards.map(HeaderValue::try_from) {
            headers.insert(REFRESH, onwards);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Ok(policy) = HeaderValue::from_str(&policy(STYLE, &forms)) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// A form, which is sent to one of the gateway's own pages.
pub(super) struct Form {
    action: String,
    fields: String,
    buttons: String,
}

impl Form {
    pub(super) fn to(action: impl Into<String>) -> Self {
        Self { action: action.into(), fields: String::new(), buttons: String::new() }
    }

    /// A field for text. `autocomplete` is what a password manager knows it by.
    pub(super) fn field(self, label: &str, name: &str, value: &str, autocomplete: &str) -> Self {
        self.input(label, name, value, "text", autocomplete)
    }

    /// A field that shows nothing.
    pub(super) fn secret(self, label: &str, name: &str, autocomplete: &str) -> Self {
        self.input(label, name, "", "password", autocomplete)
    }

    fn input(mut self, label: &str, name: &str, value: &str, kind: &str, autocomplete: &str) -> Self {
        let _ = write!(
            self.fields,
            "<label>{}<input name=\"{}\" type=\"{}\" value=\"{}\" autocomplete=\"{}\" autocapitalize=\"none\" \
             spellcheck=\"false\" required></label>",
            escape(label),
            escape(name),
            escape(kind),
            escape(value),
            escape(autocomplete)
        );
        self
    }

    /// What is sent along unseen.
    pub(super) fn hidden(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.fields, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value));
        self
    }

    /// The button that people most likely want.
    pub(super) fn button(mut self, text: &str) -> Self {
        let _ = write!(self.buttons, "<button class=\"first\">{}</button>", escape(text));
        self
    }

    /// Another button, which sends the form to another page.
    pub(super) fn other_button(mut self, text: &str, action: &str) -> Self {
        let _ = write!(self.buttons, "<button formaction=\"{}\">{}</button>", escape(action), escape(text));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_is_said_is_text() {
        let evil = "\"'><script>alert(1)</script>&";
        let form = Form::to(evil).field(evil, evil, evil, evil).secret(evil, evil, evil).hidden(evil, evil);
        let form = form.button(evil).other_button(evil, evil);
        let page = Page::new(evil).alert(evil).text(evil).link(evil, evil).facts(&[(evil, evil)]).form(form);
        let response = page.into_response();
        assert_eq!(response.headers()[X_FRAME_OPTIONS], "DENY");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().expect("ascii").to_owned();
        assert!(policy.starts_with("default-src 'none';") && policy.contains("form-action 'self';"), "{policy}");
        let html = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let html = String::from_utf8(html.to_vec()).expect("UTF-8");
        assert!(!html.contains("<script") && !html.contains("\"'") && html.contains("&quot;&#39;&gt;&lt;script&gt;"));
        let (_, style) = html.split_once("<style>").expect("a style");
        let (style, _) = style.split_once("</style>").expect("an end");
        assert_eq!(super::policy(style, "'self'"), policy, "the policy allows the style that is there");
    }
}
