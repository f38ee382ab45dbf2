//! `/api/v1/groups`. A group is there while somebody is in it, or an access rule or a role names it: who is put into it gets what
//! they say. Users are put into groups with `PATCH /api/v1/users/{name}`.

use axum::Json;
use axum::extract::State;

use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use crate::store::Group;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/api/v1/groups", Permission::Auditor, "Groups with their sizes, by name.", list)
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<Group>>, Problem> {
    let after: Option<String> = paging.after()?;
    let groups = api.store.users().groups(caller.user.org, after.as_deref(), paging.limit()).await?;
    Ok(paging.page(groups, |group| group.name.clone(), |group| group))
}
