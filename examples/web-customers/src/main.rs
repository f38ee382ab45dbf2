//! Serves the app on this machine, and prints where.
//!
//! ```text
//! cargo run -p example-web-customers
//! ```

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, web_customers::app()).await?;
    Ok(())
}
