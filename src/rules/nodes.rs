//! `child_nodes`: how account listings say where an account's mail lives (F1.2).

use crate::wire::Routing;
use serde_json::{Value, json};

/// The `child_nodes` of `user`: one entry for a distributed account, none otherwise.
pub fn child_nodes(user: &str, routing: &Routing) -> Value {
    match routing.distributed.get(user) {
        Some(distributed) => json!([{ "alias": distributed.alias, "workload": "Mail" }]),
        None => json!([]),
    }
}

/// The user that one account of a listing is about; a listing cut down with `want` may only say the domain.
pub fn user_of<'a>(user: Option<&'a str>, domain: Option<&str>, routing: &'a Routing) -> Option<&'a str> {
    user.or_else(|| {
        let domain = domain?;
        let (user, _) = routing.distributed.iter().find(|(_, one)| one.domains.iter().any(|own| own == domain))?;
        Some(user.as_str())
    })
}

/// Adds `child_nodes` to every account in the answer of `accountsummary` or `listaccts`, in the version 1 form (`data.acct`) as in the
/// older one (`acct`). What is not an account listing is left as it is.
pub fn add_child_nodes(answer: &mut Value, routing: &Routing) {
    let listing = if answer.pointer("/data/acct").is_some() { answer.pointer_mut("/data/acct") } else { answer.get_mut("acct") };
    let Some(Value::Array(accounts)) = listing else { return };
    for account in accounts.iter_mut().filter_map(Value::as_object_mut) {
        let said = |key: &str| account.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let (user, domain) = (said("user"), said("domain"));
        let nodes =
            user_of(user.as_deref(), domain.as_deref(), routing).map_or_else(|| json!([]), |user| child_nodes(user, routing));
        account.insert("child_nodes".into(), nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Distributed;

    fn routing() -> Routing {
        let one = Distributed { alias: "m1".into(), hostname: "mail1.lab.test".into(), domains: vec!["a.test".into()] };
        Routing { distributed: [("anna".to_owned(), one)].into(), ..Routing::default() }
    }

    #[test]
    fn both_forms_are_decorated() {
        for mut answer in [
            json!({"data": {"acct": [{"user": "anna"}, {"user": "bert"}]}}),
            json!({"acct": [{"user": "anna"}, {"user": "bert"}]}),
        ] {
            add_child_nodes(&mut answer, &routing());
            let accounts = answer.pointer("/data/acct").or_else(|| answer.get("acct")).unwrap();
            assert_eq!(accounts[0]["child_nodes"], json!([{"alias": "m1", "workload": "Mail"}]));
            assert_eq!(accounts[1]["child_nodes"], json!([]));
        }
    }

    #[test]
    fn the_domain_is_enough_and_failures_are_left_alone() {
        let mut answer = json!({"data": {"acct": [{"domain": "a.test"}]}});
        add_child_nodes(&mut answer, &routing());
        assert_eq!(answer["data"]["acct"][0]["child_nodes"][0]["alias"], "m1");
        let mut failure = json!({"metadata": {"result": 0}});
        add_child_nodes(&mut failure, &routing());
        assert_eq!(failure, json!({"metadata": {"result": 0}}));
    }
}
