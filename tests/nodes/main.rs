//! Tests that drive the real binary in real nodes: one lab for the run, up before the first test, down and looked over after the last.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what goes wrong here fails the test, and is printed"
)]

mod api;
mod arrival;
mod browser;
mod crash;
mod domains;
mod follow;
mod force;
mod guard;
mod installer;
mod lab;
mod links;
mod load;
mod many;
mod pages;
mod refusals;
mod rules;
mod whm;

use libtest_mimic::{Arguments, Conclusion, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The nodes are shared, and a test may end `serve` on one of them.
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for (name, test) in [
        ("account_created_on_the_child_gets_its_first_message_there", arrival::created_on_the_child as fn()),
        ("removing_an_account_removes_both_halves", arrival::removed_from_both),
        ("mail_functions_on_the_parent_act_on_the_child", api::mail_functions_act_on_the_child),
        ("node_fields_in_account_lists", api::node_fields),
        ("server_nodes_functions", api::server_nodes_functions),
        ("a_child_refuses_in_every_envelope", guard::refuses_in_every_envelope),
        ("a_child_lets_the_parent_and_webmail_through", guard::lets_through),
        ("bad_input_changes_nothing", refusals::bad_input),
        ("a_dead_child_and_a_full_child_are_refused", refusals::dead_and_full),
        ("a_second_parent_cannot_link", refusals::second_parent),
        ("a_link_by_password_with_a_confirmed_certificate", links::by_password),
        ("a_refused_update_of_a_link_changes_nothing", links::refused_updates),
        ("a_link_changes_its_token_and_survives_every_crash", links::rotated),
        ("a_distributed_reseller_has_no_rights_on_the_child", rules::resellers),
        ("mail_passwords_obey_the_child_and_others_the_parent", rules::passwords),
        ("no_interface_sets_up_a_program_for_a_distributed_account", rules::pipes),
        ("a_profile_that_would_break_links_is_refused", rules::profiles),
        ("distribute_under_load_and_back", load::there_and_back),
        ("settings_travel_with_the_mail", load::settings_travel),
        ("many_moves_queue_in_order_and_say_why_they_wait", many::queued),
        ("a_move_tells_mailbox_rate_and_time_left", many::progress_is_seen),
        ("every_domain_of_an_account_moves_both_ways", domains::every_domain),
        ("a_suspended_account_moves_and_stays_suspended", domains::suspended),
        ("the_plan_names_what_runs_a_program", domains::pipes_are_named),
        ("the_parent_mirrors_mail_settings", force::mirrored),
        ("force_dedistributing_from_a_dead_child", force::dead_child),
        ("every_event_is_followed_with_the_child_up", follow::child_up),
        ("every_event_is_followed_with_the_child_down", follow::child_down),
        ("every_event_is_followed_with_the_child_lost_in_the_middle", follow::child_lost),
        ("every_event_is_followed_with_serve_killed_in_the_middle", follow::serve_killed),
        ("sync_finishes_what_is_left_and_touches_nobody_else", follow::sync_finishes),
        ("a_child_refuses_what_root_does_past_the_parent", follow::child_refuses_root),
        ("twenty_hooks_are_twenty_answers", follow::twenty_hooks),
        ("cancelled_moves_leave_no_trace", crash::cancelled),
        ("serve_killed_at_every_step_of_distributing", crash::distributing),
        ("serve_killed_at_every_step_of_dedistributing", crash::dedistributing),
        ("whm_in_a_browser", whm::the_way_in),
        ("whm_plugins_of_others", whm::plugins_of_others),
        ("pages_nodes_and_accounts", pages::nodes_and_accounts),
        ("pages_keep_resellers_out", pages::resellers_are_kept_out),
        ("pages_link_an_untrusted_child", pages::linking_an_untrusted_child),
        ("pages_create_and_modify_an_account", pages::created_from_whms_form),
        ("pages_force_with_the_child_dead", pages::forced_with_the_child_dead),
        ("pages_distribute_three_accounts_and_back", pages::three_accounts_there_and_back),
        ("pages_by_keyboard_alone", pages::by_keyboard_alone),
        ("pictures_for_the_readme", pages::pictures),
        ("installing_twice_and_uninstalling", installer::there_and_back),
    ] {
        trials.push(Trial::test(name, move || {
            test();
            Ok(())
        }));
    }
    let wanted: usize = usize::from(!arguments.list);
    if wanted == 0 {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let lab = lab::up();
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    if std::env::var_os("LAB_KEEP").is_some() {
        return conclusion.exit_code();
    }
    match lab.down() {
        Ok(()) => conclusion.exit_code(),
        Err(left) => {
            eprintln!("the lab left something behind: {left}");
            ExitCode::FAILURE
        }
    }
}
