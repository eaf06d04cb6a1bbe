//! `whmapi1` and `uapi`: cPanel's command-line tools with the linked nodes' verdicts applied. Same arguments, same output
//! formats, same envelopes (<https://api.docs.cpanel.net/whm/introduction>, <https://api.docs.cpanel.net/cpanel/introduction>).

mod format;

use super::exit::{Exit, Failure, Outcome};
use super::{ask, output};
use crate::error::{Code, Error};
use crate::wire::{AdminCall, Params};
use clap::Args;
pub use format::Format;
use serde_json::{Value, json};

/// A WHM API 1 call.
#[derive(Debug, Args)]
pub struct Whm {
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
    /// The function, for example `listaccts`.
    function: String,
    /// Arguments as `key=value`, URI-encoded as for cPanel's own command.
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// A UAPI call for an account.
#[derive(Debug, Args)]
pub struct Uapi {
    /// The account.
    #[arg(long)]
    user: String,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    output: Format,
    /// The module, for example `Email`.
    module: String,
    /// The function, for example `list_pops`.
    function: String,
    /// Arguments as `key=value`, URI-encoded as for cPanel's own command.
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
}

/// Runs a WHM API 1 call and prints its envelope. A call that failed ends with [`Exit::Failed`], its envelope printed.
///
/// # Errors
/// [`Exit::Usage`] for arguments that cannot be decoded; otherwise as [`ask::serve`].
pub fn whm(args: Whm) -> Outcome {
    let call = AdminCall::Whm { function: args.function, params: params(&args.params)? };
    let envelope: Value = ask::serve(&call)?;
    let done = truth(&envelope["metadata"]["result"]);
    print(args.output, &envelope, done)
}

/// Runs a UAPI call and prints it in the command line's envelope (`apiversion`, `module`, `func`, `result`).
///
/// # Errors
/// As [`whm`].
pub fn uapi(args: Uapi) -> Outcome {
    let params = params(&args.params)?;
    let (module, function) = (args.module, args.function);
    let call = AdminCall::Uapi { user: args.user, module: module.clone(), function: function.clone(), params };
    let result: Value = ask::serve(&call)?;
    let done = truth(&result["status"]);
    print(args.output, &wrap(&module, &function, result), done)
}

/// The envelope in which cPanel's `uapi` command puts a flat result.
fn wrap(module: &str, function: &str, result: Value) -> Value {
    json!({ "apiversion": 3, "func": function, "module": module, "result": result })
}

fn print(format: Format, envelope: &Value, done: bool) -> Outcome {
    output::data(&format.render(envelope))?;
    if done { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// A boolean as cPanel writes it: `1`, `"1"` or `true`.
fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => text == "1",
        _ => false,
    }
}

/// Decodes `key=value` arguments; a key alone has the empty value. `+` stays `+`: only `%XX` is decoded.
fn params(raw: &[String]) -> Result<Params, Failure> {
    raw.iter()
        .map(|argument| {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            Ok((decode(key, argument)?, decode(value, argument)?))
        })
        .collect()
}

fn decode(text: &str, argument: &str) -> Result<String, Failure> {
    percent_encoding::percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| {
        Failure::usage(
            Error::new(Code::Invalid, format!("The argument “{argument}” is not valid UTF-8 once decoded."))
                .hint("Write a percent sign as %25."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_decoded_and_duplicates_kept() {
        let raw = ["user=a%20b", "user=c+d", "flag", "eq=x=y"].map(String::from);
        let expected = [("user", "a b"), ("user", "c+d"), ("flag", ""), ("eq", "x=y")];
        assert_eq!(params(&raw).unwrap(), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(params(&["a=%ff".to_owned()]).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn truth_is_cpanels() {
        assert!(truth(&json!(1)) && truth(&json!("1")) && truth(&json!(true)));
        assert!(!truth(&json!(0)) && !truth(&json!("0")) && !truth(&Value::Null) && !truth(&json!("yes")));
    }
}
