//! A gateway with a plugin of one's own: the stock gateway in every other way, with audit, masking and guardrails before it.
//!
//! ```text
//! cargo run -p example-custom-plugin
//! ```
//!
//! Settings come from the environment as with the stock gateway: `HOOP_DATA`, `HOOP_LISTEN_POSTGRES_ADDRESS` …

mod row_budget;

use hoop_gateway::Gateway;
use hoop_gateway::config::Loader;
use row_budget::RowBudget;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Loader::new().default_value("data", "custom-plugin-data").env(std::env::vars()).load()?.config;
    let gateway = Gateway::builder().config(config).plugin(RowBudget { rows: 1000 }).build().await?;
    let admin = gateway.first_admin("admin", false).await?;
    let running = gateway.bind().await?; // the ports are known now

    println!("api       http://{}", running.addresses().http);
    println!("postgres  {}", running.addresses().postgres);
    if let Some(admin) = admin {
        println!("admin     {} with password {}, shown this once", admin.name, admin.password.expose());
    }
    tokio::signal::ctrl_c().await?;
    running.shutdown().await;
    Ok(())
}
