//! Features of accounts.

use serde_json::{Map, Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::Machine;

/// `get_featurelists`.
pub(super) fn get_featurelists(machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    Ok(json!({"featurelists": machine.feature_lists()?}).into())
}

/// `create_featurelist`.
pub(super) fn create_featurelist(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let name = args.need("featurelist")?;
    if machine.feature_list(name)?.is_some() && !args.flag("overwrite") {
        return Err(Failure::new(format!("The feature list “{name}” already exists.")));
    }
    machine.set_features(name, &[])?;
    Ok(json!({"featurelist": name}).into())
}

/// `update_featurelist`: every argument but the list's name is a feature, 0 or 1.
pub(super) fn update_featurelist(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let name = args.need("featurelist")?;
    if machine.feature_list(name)?.is_none() {
        return Err(Failure::new(format!("The feature list “{name}” does not exist.")));
    }
    let named = args.0.iter().filter(|(key, _)| key != "featurelist" && !key.starts_with("api."));
    let (good, bad): (Vec<_>, Vec<_>) = named.partition(|(_, value)| value == "0" || value == "1");
    let changes: Vec<(String, bool)> = good.into_iter().map(|(feature, value)| (feature.clone(), value == "1")).collect();
    machine.set_features(name, &changes)?;
    let updated: Map<String, Value> = changes.into_iter().map(|(feature, on)| (feature, json!(u8::from(on)))).collect();
    let invalid: Vec<&String> = bad.into_iter().map(|(feature, _)| feature).collect();
    Ok(json!({"featurelist": name, "invalid_features": invalid, "updated_features": updated}).into())
}

fn features(args: &Args) -> Result<Map<String, Value>, Failure> {
    let text = args.need("features")?;
    serde_json::from_str(text).map_err(|error| Failure::new(format!("“features” is no JSON object: {error}")))
}

/// `add_override_features_for_user`.
pub(super) fn add_override(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let on = |value: &Value| *value == json!(1) || *value == json!("1");
    let changes: Vec<_> = features(args)?.into_iter().map(|(feature, value)| (feature, Some(on(&value)))).collect();
    machine.override_features(args.need("user")?, &changes)?;
    Ok(Value::Null.into())
}

/// `remove_override_features_for_user`: a JSON list of features.
pub(super) fn remove_override(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let named: Vec<String> = serde_json::from_str(args.need("features")?)
        .map_err(|error| Failure::new(format!("“features” is no JSON list: {error}")))?;
    let changes: Vec<_> = named.into_iter().map(|feature| (feature, None)).collect();
    machine.override_features(args.need("user")?, &changes)?;
    Ok(Value::Null.into())
}

/// `verify_user_has_feature`.
pub(super) fn verify(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let feature = args.need("feature")?;
    let has = machine.has_feature(args.need("user")?, feature)?;
    Ok(json!({"has_feature": u8::from(has), "query_feature": feature}).into())
}

#[cfg(test)]
mod tests {
    use super::super::call;
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn features_are_decided_by_server_account_and_list_and_ipv6_shows() {
        let (_folder, machine) = scratch::machine();
        let root = |function: &str, asked: &str| {
            let args = Args(crate::cpsrvd::body::form(asked));
            call(&machine, &Caller::root(), function, &args).unwrap().data
        };
        root("createacct", "username=alice&domain=alice.example&password=Wonderland-7-rabbits");
        let has = || root("verify_user_has_feature", "user=alice&feature=apitokens")["has_feature"] == 1;
        let alice = Caller { user: "alice".into(), mailbox: None, acls: Vec::new() };
        let tokens = || crate::uapi::call(&machine, &alice, "Tokens", "list", &Args::default()).is_ok();
        assert!(has() && tokens());
        root("update_featurelist", "featurelist=default&apitokens=0");
        assert!(!has() && !tokens());
        root("add_override_features_for_user", "user=alice&features={\"apitokens\":1}");
        assert!(has());
        root("update_featurelist", "featurelist=disabled&apitokens=0");
        assert!(!has());
        root("ipv6_range_add", "name=lab&range=2001:db8::/64");
        assert_eq!(root("ipv6_enable_account", "range=lab&user=alice&user-1=bob")["fail_cnt"], 1);
        let shown = || root("accountsummary", "user=alice")["acct"][0]["ipv6"].clone();
        assert_eq!(shown(), json!(["2001:db8::1"]));
        assert!(machine.zone_text("alice.example").unwrap().contains("2001:db8::1"));
        root("ipv6_disable_account", "user=alice");
        assert_eq!(shown(), json!([]));
        assert!(!machine.zone_text("alice.example").unwrap().contains("2001:db8::1"));
    }
}
