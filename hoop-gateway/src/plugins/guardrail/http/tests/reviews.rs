//! Requests that somebody must agree to.

use hoop_core::{Agreed, Asked as Begun, Decided, MessageKind, Reviewer};
use parking_lot::Mutex;

use super::*;

/// Keeps what is asked, and agrees.
#[derive(Default)]
struct Keeps(Mutex<Vec<Ask>>);

impl Reviewer for Keeps {
    fn ask(&self, ask: &Ask) -> Result<Begun, Denial> {
        self.0.lock().push(ask.clone());
        let agreed = Agreed { by: "lena".to_owned(), comment: None };
        let decided = Decided { review: None, result: Ok(agreed) };
        Ok(Begun { review: None, notice: None, until: Box::pin(async move { decided }) })
    }
}

impl Keeps {
    /// The rule that has asked last, the body of what it was about, and its method.
    fn last(&self) -> Option<(String, Vec<Bytes>, String)> {
        let ask = self.0.lock().pop()?;
        let Subject::Request { head, body } = ask.subject else { panic!("it is no request") };
        Some((ask.rule, body, head.method.to_string()))
    }
}

async fn asks(rules: Value) -> (Asked, Arc<Keeps>) {
    let keeps = Arc::new(Keeps::default());
    let chain = open(rules, &[]).await.reviewed_by(keeps.clone());
    (Asked { chain, next: 0 }, keeps)
}

impl Asked {
    /// A piece of a body; whether it is held.
    fn last_piece(&mut self, bytes: &'static [u8]) -> Result<bool, Denial> {
        let bytes = Bytes::from_static(bytes);
        let part = BodyPart { channel: ChannelId(self.next), bytes, last: true, trailers: None, held_back: false };
        match self.chain.request(Request::Body(part)) {
            Flow::Pass(_) => Ok(false),
            Flow::Held(_) => Ok(true),
            Flow::Denied(denial) => Err(denial),
        }
    }
}

fn rules() -> Value {
    json!([
        { "name": "payouts", "action": "review", "group": "treasury", "methods": ["POST"], "paths": ["/payouts"] },
        { "name": "large", "action": "review", "group": "treasury", "paths": ["/pay"], "body": [{ "name": "/amount", "above": 100 }] },
        { "name": "calls", "action": "review", "group": "treasury", "services": ["pay.v1.Cards"] },
        { "name": "talks", "action": "review", "group": "treasury", "paths": ["/socket"] },
    ])
}

#[tokio::test]
async fn a_request_is_asked_about_with_its_whole_body() {
    let (mut asked, keeps) = asks(rules()).await;
    let wants = asked.ask("POST", "/payouts", &[]).expect("it waits for its body");
    assert!(wants.read && wants.whole);
    asked.piece(b"a hun", false).expect("more is to come");
    assert_eq!(keeps.last(), None);
    assert!(asked.last_piece(b"dred").expect("not refused"));
    assert_eq!(keeps.last(), Some(("payouts".to_owned(), vec![Bytes::from_static(b"a hundred")], "POST".to_owned())));
    assert_eq!(asked.ask("GET", "/payouts", &[]).expect("nobody asks"), BodyUse::default());
}

#[tokio::test]
async fn a_rule_on_the_body_asks_when_it_holds() {
    let (mut asked, keeps) = asks(rules()).await;
    for (body, waits) in [(&br#"{"amount":1000}"#[..], true), (br#"{"amount":10}"#, false)] {
        asked.ask("PUT", "/pay", &[("content-type", "application/json")]).expect("it waits for its body");
        assert_eq!(asked.last_piece(body).expect("not refused"), waits);
        assert_eq!(keeps.last().is_some(), waits);
    }
}

#[tokio::test]
async fn a_call_is_asked_about_with_all_of_its_messages() {
    let (mut asked, keeps) = asks(rules()).await;
    let call = ExchangeKind::Grpc { service: "pay.v1.Cards".into(), method: "Refund".into() };
    let wants = asked.head("POST", "/pay.v1.Cards/Refund", &[], call).expect("it waits for its messages");
    assert!(wants.whole);
    for bytes in [&b"one"[..], b"two"] {
        let bytes = Bytes::from_static(bytes);
        let message = Message { channel: ChannelId(asked.next), kind: MessageKind::Grpc, bytes };
        assert!(matches!(asked.chain.request(Request::Message(message)), Flow::Pass(_)));
    }
    assert!(asked.last_piece(b"").expect("not refused"));
    let (rule, body, _) = keeps.last().expect("it asks");
    assert_eq!((rule.as_str(), body), ("calls", vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]));
}

#[tokio::test]
async fn what_nobody_could_read_is_refused() {
    let (mut asked, keeps) = asks(rules()).await;
    refused(asked.head("GET", "/socket", &[], ExchangeKind::WebSocket), "WebSocket cannot be reviewed");
    asked.ask("POST", "/payouts", &[]).expect("it waits for its body");
    refused(asked.piece(&vec![b'x'; MOST_SHOWN + 1], false), "cannot be reviewed");
    refused(asked.last_piece(b""), "cannot be reviewed");
    assert_eq!(keeps.last(), None);
}
