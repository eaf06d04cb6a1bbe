//! The pages for people. cPanel's own interface is not rebuilt here: these say where one is.

use super::session::Service;
use crate::call::Caller;
use crate::machine::Machine;
use crate::uapi::pops::html;

/// A page. `body` is HTML.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}table{{border-collapse:collapse;width:100%}}\
         td,th{{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd}}pre{{white-space:pre-wrap}}input{{font:inherit;display:block;margin:.5rem 0}}</style>\
         </head><body><h1>{title}</h1>\n{body}\n</body></html>\n",
        title = html(title),
    )
}

/// A page with one message.
pub fn message(title: &str, text: &str) -> String {
    page(title, &format!("<p>{}</p>", html(text)))
}

fn title(service: Service) -> &'static str {
    match service {
        Service::Cpaneld => "cPanel Login",
        Service::Whostmgrd => "WHM Login",
        Service::Webmaild => "Webmail Login",
    }
}

/// The sign-in form.
pub fn sign_in(machine: &Machine, service: Service) -> String {
    let form = "<form method=\"post\" action=\"/login/\"><label>User <input name=\"user\" autocomplete=\"username\"></label>\
                <label>Password <input name=\"pass\" type=\"password\" autocomplete=\"current-password\"></label>\
                <button type=\"submit\">Log in</button></form>";
    page(title(service), &format!("<p>{}</p>{form}", html(&machine.hostname())))
}

/// Where a signed-in person arrives.
pub fn home(machine: &Machine, service: Service, caller: &Caller) -> String {
    let what = if service == Service::Whostmgrd { "WHM" } else { "cPanel" };
    let text = format!("Signed in to {what} on {} as {}. This server offers the API only.", machine.hostname(), caller.user);
    message(what, &text)
}
