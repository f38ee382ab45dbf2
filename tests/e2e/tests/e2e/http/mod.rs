//! Services that speak HTTP, through the gateway.

mod smuggling;
