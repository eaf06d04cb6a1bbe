use super::super::normalise::{Raw, Service, normalise};
use super::*;

fn refused(path: &str, query: &str, body: (&str, &str)) -> Option<String> {
    let served = [("anna".to_owned(), vec!["anna.test".to_owned(), "other.test".to_owned()])].into();
    let ground = Ground { parent: "parent.lab.test", served: &served };
    let raw = Raw { service: Service::Whm, path, query: Some(query), content_type: Some(body.0), body: body.1.as_bytes() };
    normalise(raw).map_or_else(|unclear| Some(unclear.0.to_owned()), |target| ground.refuses(&target, &[]))
}

const NONE: (&str, &str) = ("", "");

#[test]
fn what_names_a_served_account_is_refused_with_the_parent_named() {
    for (path, query) in [
        ("/json-api/removeacct", "api.version=1&username=anna"),
        ("/json-api/removeacct", "api.version=1&user=anna"),
        ("/json-api/accountsummary", "domain=anna.test"),
        ("/json-api/modifyacct", "user=bert&user=anna"),
        ("/json-api/massmodifyacct", "user=bert&user-1=anna"),
        ("/json-api/massmodifyacct", "user=bert&user[]=ANNA"),
        ("/json-api/suspendacct", "user=anna%0a"),
        ("/json-api/suspendacct", "user=bert;user=anna"),
        ("/json-api/get_mailbox_status", "account=info%40anna.test"),
        ("/json-api/expunge_mailbox_messages", "account=info%2Banna.test&mailbox=INBOX&query=all"),
        ("/json-api/dumpzone", "domain=mail.other.test"),
        ("/json-api/fetch_ssl_certificates_for_fqdns", "domains=x.test,mail.anna.test"),
        ("/json-api/createacct", "username=anna&domain=new.test"),
        ("/json-api/createacct", "username=new&domain=sub.anna.test"),
        ("/json-api/a_function_of_the_future", "user=anna"),
        ("/xml-api/passwd", "user=anna&password=x"),
        ("/cpsess0123456789/scripts/killacct", "domain=anna.test&user=anna"),
        ("/xfercpanel/anna", ""),
        ("/json-api/create_user_session", "user=anna&service=whostmgrd"),
        ("/json-api/start_local_cpmove_restore", "cpmovepath=/home/cpmove-anna.tar.gz"),
    ] {
        let reason = refused(path, query, NONE).unwrap_or_else(|| panic!("{path}?{query} passes"));
        assert!(reason.contains("parent.lab.test"), "{path}?{query}: {reason}");
    }
}

#[test]
fn bodies_are_judged_like_queries() {
    assert!(refused("/json-api/removeacct", "", ("application/x-www-form-urlencoded", "username=anna")).is_some());
    assert!(refused("/json-api/removeacct", "", ("application/json", r#"{"username":"anna"}"#)).is_some());
    assert!(refused("/json-api/removeacct", "", ("text/plain", "username=anna")).is_some());
    assert!(refused("/json-api/removeacct", "", ("text/plain", r#"{"username":"anna"}"#)).is_some());
    assert!(refused("/json-api/removeacct", "", ("application/json", r#"{"a":"&username=anna&"}"#)).is_some());
    assert!(refused("/json-api/removeacct", "username=bert", ("application/json", r#"{"username":["anna"]}"#)).is_some());
}

#[test]
fn cpanel_apis_sessions_and_links_are_refused_whatever_they_name() {
    for (path, query) in [
        ("/json-api/uapi_cpanel", "cpanel.user=bert&cpanel.module=Email&cpanel.function=list_pops"),
        ("/json-api/cpanel", "cpanel_jsonapi_user=bert"),
        ("/xml-api/cpanel", "cpanel_xmlapi_user=bert"),
        ("/execute/Email/list_pops", ""),
        ("/json-api/batch", "command=version&command-1=uapi_cpanel%3Fcpanel.user%3Dbert"),
        ("/json-api/batch", "command=batch%3Fcommand%3Dremoveacct%253Fusername%253Danna"),
        ("/json-api/create_user_session", "user=bert&service=cpaneld"),
        ("/json-api/create_user_session", "user=bert&service=webmaild&service=cpaneld"),
        ("/json-api/create_user_session", "user=bert"),
        ("/json-api/UAPI_cpanel", "cpanel.user=bert"),
        ("/json-api/link_server_node_with_api_token", "alias=x"),
        ("/json-api/start_profile_activation", "code=DNSNODE"),
        ("/json-api/start_profile_activation", "code=STANDARD&CODE=DATABASENODE"),
    ] {
        assert!(refused(path, query, NONE).is_some(), "{path}?{query}");
    }
}

#[test]
fn roots_other_work_passes() {
    for (path, query) in [
        ("/json-api/version", "api.version=1"),
        ("/json-api/start_profile_activation", "code=MAILNODE"),
        ("/json-api/listaccts", "api.version=1"),
        ("/json-api/removeacct", "username=bert"),
        ("/json-api/createacct", "username=annabel&domain=notanna.test&contactemail=x@y.test"),
        ("/json-api/create_user_session", "user=info%40anna.test&service=webmaild"),
        ("/json-api/batch", "command=version&command-1=accountsummary%3Fuser%3Dbert"),
        ("/cpsess0123456789/scripts5/wwwacct", ""),
        ("/cgi/linkednodes/index.cgi", "user=anna"),
    ] {
        assert_eq!(refused(path, query, NONE), None, "{path}?{query}");
    }
}

#[test]
fn a_served_reseller_does_not_sign_in() {
    let served = [("anna".to_owned(), vec!["anna.test".to_owned()])].into();
    let ground = Ground { parent: "parent.lab.test", served: &served };
    let raw = Raw { service: Service::Whm, path: "/json-api/version", query: None, content_type: None, body: b"" };
    let target = normalise(raw).unwrap();
    assert!(ground.refuses(&target, &["root".into(), "anna".into()]).is_some());
    assert!(ground.refuses(&target, &["root".into()]).is_none());
    assert!(refused("/login/", "", ("application/x-www-form-urlencoded", "user=anna&pass=x")).is_some());
    assert!(refused("/login/", "session=anna%3Axyz%2Cabc", NONE).is_some());
}
