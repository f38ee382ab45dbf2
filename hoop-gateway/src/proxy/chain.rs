//! The chain of a session whose channels run side by side.

use hoop_core::{ChannelId, Denial, Flow, Interest, Request, Response, SessionChain};
use parking_lot::Mutex;

/// A chain that several channels share. It is locked for as long as plugins look at one request or response, and never while
/// something is held.
pub(crate) struct SharedChain(Mutex<Option<SessionChain>>);

impl SharedChain {
    pub(crate) const fn new(chain: SessionChain) -> Self {
        Self(Mutex::new(Some(chain)))
    }

    /// The chain itself, once; whoever asks it afterwards is refused.
    pub(crate) fn take(&self) -> Option<SessionChain> {
        self.0.lock().take()
    }

    /// Whether any plugin wants any of these kinds.
    pub(crate) fn wants(&self, kinds: Interest) -> bool {
        self.0.lock().as_ref().is_some_and(|chain| chain.wants(kinds))
    }

    /// Runs a request through the chain, and waits where a plugin holds it; `tell` is given what the user is told meanwhile.
    /// A wait that is dropped is over.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn request<T>(&self, request: Request, tell: impl Fn(String) -> T) -> Result<Request, Denial>
    where
        T: Future<Output = ()>,
    {
        let mut flow = self.ask(|chain| chain.request(request))?;
        loop {
            match flow {
                Flow::Pass(request) => return Ok(request),
                Flow::Denied(denial) => return Err(denial),
                Flow::Held(held) => {
                    if let Some(notice) = held.notice {
                        tell(notice).await;
                    }
                    let waited = held.until.await;
                    flow = self.ask(|chain| chain.resume_request(held.resume, waited))?;
                }
            }
        }
    }

    /// Runs a response through the chain, and waits where a plugin holds it.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn response(&self, response: Response) -> Result<Response, Denial> {
        let flow = self.ask(|chain| chain.response(response))?;
        self.finish(flow).await
    }

    /// What plugins have kept back of a channel's output.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn flush(&self, channel: ChannelId) -> Result<Vec<Response>, Denial> {
        let mut flushed = Vec::new();
        for flow in self.ask(|chain| chain.flush(channel))? {
            flushed.push(self.finish(flow).await?);
        }
        Ok(flushed)
    }

    async fn finish(&self, mut flow: Flow<Response>) -> Result<Response, Denial> {
        loop {
            match flow {
                Flow::Pass(response) => return Ok(response),
                Flow::Denied(denial) => return Err(denial),
                Flow::Held(held) => {
                    let response = held.until.await?;
                    flow = self.ask(|chain| chain.resume_response(held.resume, response))?;
                }
            }
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut SessionChain) -> T) -> Result<T, Denial> {
        self.0.lock().as_mut().map(ask).ok_or_else(over)
    }
}

/// The session has ended while a channel of it still had something to say.
fn over() -> Denial {
    Denial::new("gateway", hoop_core::Code::Cancelled, "the session has ended")
}
