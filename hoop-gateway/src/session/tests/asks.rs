//! What somebody must agree to while a session runs.

use bytes::Bytes;
use hoop_core::{Agreed, Ask, Asked, ChannelId, Decided, ExchangeKind, HttpRequest, Reviewer as _, Subject};

use super::super::ask::Asks;
use super::*;

/// A session of alice that runs, and lena who decides on what is asked for in it.
struct Case {
    world: World,
    lena: User,
    asks: Arc<Asks>,
    context: Arc<SessionContext>,
    control: Arc<Control>,
    _live: Live,
}

impl Case {
    async fn new() -> Self {
        let world = World::new().await;
        let lena = user("lena", &["leads"]);
        world.store.users().create(&lena).await.expect("stored");
        let (control, live) = world.running(&world.shop);
        let context = world.sessions.inner.registry.admitted().pop().expect("it was allowed").context;
        let asks = Asks::of(&world.sessions, &context);
        Self { world, lena, asks, context, control, _live: live }
    }

    fn ask(&self, subject: Subject) -> Asked {
        let (rule, group) = ("changes".to_owned(), "leads".to_owned());
        self.asks.ask(&Ask { by: "guardrail", rule, group, hint: None, subject }).expect("it is asked")
    }

    fn statement(&self) -> Asked {
        self.ask(Subject::Statement { text: Bytes::from_static(b"delete from t"), parameters: None })
    }

    async fn request(&self, body: &'static str) -> Decided {
        let head = HttpRequest {
            channel: ChannelId(1),
            method: http::Method::POST,
            uri: http::Uri::from_static("/pay"),
            headers: Default::default(),
            kind: ExchangeKind::Plain,
            body: Default::default(),
            known: Default::default(),
        };
        self.ask(Subject::Request { head: Box::new(head), body: vec![Bytes::from_static(body.as_bytes())] }).until.await
    }

    /// The review that a request waits for.
    async fn waits(&self, body: &'static str) -> Review {
        let Decided { review, result } = self.request(body).await;
        let denial = result.expect_err("nobody has agreed");
        assert_eq!(denial.code, Code::ReviewRequired);
        self.world.review(review.expect("there is one")).await
    }
}

/// The review, once it is in the store.
async fn stored(case: &Case, id: ReviewId) -> Review {
    loop {
        match case.world.store.reviews().get(case.context.org, id).await {
            Ok(Some(review)) => return review,
            _ => tokio::task::yield_now().await,
        }
    }
}

/// What a statement comes to when this is done about its review.
async fn until_decided(case: &Case, asked: Asked, act: impl AsyncFnOnce(&Review)) -> (Decided, ReviewId) {
    let id = asked.review.expect("it waits");
    let deciding = async { act(&stored(case, id).await).await };
    let (decided, ()) = tokio::join!(asked.until, deciding);
    (decided, id)
}

fn code(decided: Decided) -> Result<Agreed, Code> {
    decided.result.map_err(|denial| denial.code)
}

#[tokio::test]
async fn a_statement_waits_until_somebody_decides() {
    for approve in [true, false] {
        let case = Case::new().await;
        let asked = case.statement();
        let id = asked.review.expect("it waits").to_string();
        assert!(asked.notice.as_deref().is_some_and(|notice| notice.contains(&id)));
        let deciding = until_decided(&case, asked, async |review| {
            assert_eq!(review.subject.as_deref(), Some("delete from t"));
            case.world.decide(review, &case.lena, approve).await;
        });
        let (decided, review) = deciding.await;
        assert_eq!(decided.review, Some(review));
        assert_eq!(case.world.review(review).await.used_by, approve.then_some(case.context.id));
        match decided.result {
            Ok(agreed) => assert_eq!((approve, agreed.by.as_str()), (true, "lena")),
            Err(denial) => {
                let words = denial.reason.contains("rule changes") && denial.reason.contains("lena of group leads");
                assert!(!approve && denial.code == Code::ReviewDenied && words, "{denial}");
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_wait_takes_it_back() {
    let case = Case::new().await;
    let asked = case.statement();
    let review = asked.review.expect("it waits");
    tokio::select! {
        stored = stored(&case, review) => assert_eq!(stored.state, ReviewState::Pending),
        _ = asked.until => panic!("nobody has decided"),
    }
    case.world.sessions.parts().tasks.close();
    case.world.sessions.parts().tasks.wait().await;
    assert_eq!(case.world.review(review).await.state, ReviewState::Withdrawn);
}

#[tokio::test]
async fn too_much_does_not_wait_at_once() {
    let case = Case::new().await;
    let _both = (case.statement(), case.statement());
    let (rule, group) = ("changes".to_owned(), "leads".to_owned());
    let subject = Subject::Statement { text: Bytes::from_static(b"delete from t"), parameters: None };
    let third = case.asks.ask(&Ask { by: "guardrail", rule, group, hint: None, subject });
    assert_eq!(third.err().map(|denial| denial.code), Some(Code::Throttled));
}

#[tokio::test]
async fn an_approval_is_of_no_use_to_a_session_that_is_not_allowed_any_more() {
    let case = Case::new().await;
    let shutting_out = until_decided(&case, case.statement(), async |review| {
        let disabled = User { disabled: true, ..case.world.alice.clone() };
        update_user(&*case.world.store, &disabled).await.expect("stored");
        case.world.decide(review, &case.lena, true).await;
    });
    let (decided, review) = shutting_out.await;
    assert_eq!(code(decided), Err(Code::AccessRevoked));
    assert_eq!(case.world.review(review).await.used_by, None, "it was used for nothing");
}

#[tokio::test]
async fn a_request_that_comes_again_goes_through_once() {
    let case = Case::new().await;
    let review = case.waits("1").await;
    assert_eq!(case.waits("1").await.id, review.id, "the same request finds its review");
    assert_ne!(case.waits("2").await.id, review.id, "another has its own");
    case.world.decide(&review, &case.lena, true).await;
    let other = Asks::of(&case.world.sessions, &case.context);
    let again = Case { asks: other, ..case };
    assert!(again.request("1").await.result.is_ok());
    let anew = again.waits("1").await;
    assert_ne!(anew.id, review.id, "it was good once");
    again.world.decide(&anew, &again.lena, false).await;
    assert_eq!(code(again.request("1").await), Err(Code::ReviewDenied));
    assert_eq!(code(again.request("1").await), Err(Code::ReviewDenied), "for a minute");
}

#[tokio::test]
async fn of_many_requests_that_are_the_same_one_goes_through() {
    let case = Case::new().await;
    let review = case.waits("1").await;
    case.world.decide(&review, &case.lena, true).await;
    let (one, two, three) = tokio::join!(case.request("1"), case.request("1"), case.request("1"));
    let agreed = [&one, &two, &three].iter().filter(|decided| decided.result.is_ok()).count();
    assert_eq!(agreed, 1);
    let pending = case.world.store.reviews().pending().await.expect("readable");
    assert_eq!(pending.len(), 1, "the others ask for one review");
}

#[tokio::test]
async fn who_is_shut_out_takes_no_approval_along() {
    let case = Case::new().await;
    let (good, open) = (case.waits("1").await, case.waits("2").await);
    case.world.decide(&good, &case.lena, true).await;
    let why = Denial::new("gateway", Code::SessionKilled, "root ended this session");
    finish(&case.world.sessions, &case.context, None, &Outcome::from(why.clone())).await;
    assert_eq!(case.world.review(open.id).await.state, ReviewState::Withdrawn);
    assert_ne!(case.waits("1").await.id, good.id, "it is void");
    case.control.end(why);
}
