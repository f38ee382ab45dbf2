//! Tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use tokio::sync::oneshot;

/// A task ended without a result: it panicked, or its runtime is gone.
#[derive(Debug)]
pub struct JoinError;

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task ended without a result")
    }
}

impl std::error::Error for JoinError {}

/// Gives the result of a task. The task goes on where this is dropped, and keeps nothing for it once it has ended.
#[derive(Debug)]
pub struct JoinHandle<T: Send>(oneshot::Receiver<T>);

impl<T: Send> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| JoinError)
    }
}

/// Starts a task on tokio's current runtime; panics where there is none.
#[allow(clippy::disallowed_methods, reason = "the library ends its tasks with their connections")]
pub fn spawn<F, T>(future: F) -> JoinHandle<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (tell, told) = oneshot::channel();
    // An `async` block would have room for the future twice: as what it captures, and as what it awaits.
    tokio::spawn(future.map(|result| drop(tell.send(result))));
    JoinHandle(told)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::spawn;

    #[tokio::test]
    async fn a_task_gives_its_result() {
        assert_eq!(spawn(async { 7 }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_task_that_panics_gives_an_error() {
        let ended = spawn(async { panic!("on purpose") });
        assert_eq!(ended.await.unwrap_err().to_string(), "a task ended without a result");
    }

    #[tokio::test]
    async fn a_task_goes_on_without_its_handle() {
        let (tell, told) = oneshot::channel();
        let (start, started) = oneshot::channel();
        drop(spawn(async move {
            let _ = tell.send(started.await.unwrap());
        }));
        start.send(7).unwrap();
        assert_eq!(told.await.unwrap(), 7);
    }
}
