//! Services that speak HTTP, through the gateway: as browsers, programs and `hoop` reach them.

mod stand;
mod tokens;

use stand::*;
