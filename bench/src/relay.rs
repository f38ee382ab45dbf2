//! A relay that looks at nothing, on one thread: two of them in a row are what any gateway with an agent costs at least.

use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// Forwards every connection until the process ends.
pub(crate) fn run(from: u16, to: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(from, to)).expect("a free port");
}

async fn serve(from: u16, to: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", from)).await?;
    let tasks = TaskTracker::new();
    loop {
        let (client, _) = listener.accept().await?;
        // A connection that breaks is its client's to notice.
        tasks.spawn(async move { forward(client, to).await.ok() });
    }
}

async fn forward(mut client: TcpStream, to: u16) -> io::Result<()> {
    let mut target = TcpStream::connect(("127.0.0.1", to)).await?;
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut target).await.map(drop)
}
