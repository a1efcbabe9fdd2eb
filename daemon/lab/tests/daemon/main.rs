//! The real daemon on hosts of the lab: what it does when things go wrong, each behaviour asserted
//! by what passed on the wire, by the kernel's addresses, and by what the daemon says of itself.

#[path = "../common/mod.rs"]
mod common;
mod pair;

mod addresses;
mod drop_filter;
mod frozen;
mod groups;
mod hmac;
mod ipv6;
mod killed;
mod links;
mod lvs;
mod notify;
mod packets;
mod probes;
mod process;
mod reload;
mod routing;
mod takeover;
mod timing;
mod trackers;
mod unicast;
mod virtual_mac;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::main(
        &tests![
            takeover:
                a_dead_master_is_succeeded_within_the_bound,
                a_master_that_stops_hands_over_after_the_skew,
                the_greater_priority_fails_back,
                a_router_that_does_not_preempt_waits_for_the_masters_death,
                only_the_master_answers_for_the_address,
                of_equals_the_greater_address_is_master,
                with_state_master_it_listens_for_one_interval_and_the_skew,
                a_master_cut_off_in_both_directions_yields_when_it_hears_again,
                every_signal_that_ends_it_in_order_hands_over;
            timing:
                a_lower_master_is_left_in_peace_for_the_delay,
                the_delay_of_preemption_does_not_delay_a_succession,
                it_listens_for_the_startup_delay_whatever_its_state,
                a_burst_leaves_at_once_and_is_refreshed,
                announcements_leave_no_faster_than_the_pace;
            killed:
                cleanup_takes_off_what_a_killed_daemon_left_and_nothing_else,
                cleanup_refuses_while_the_daemon_runs,
                cleanup_does_without_a_configuration,
                a_restart_takes_strays_off_before_it_listens;
            frozen:
                a_master_that_wakes_listens_before_it_speaks,
                a_master_that_wakes_alone_listens_too,
                a_short_standstill_changes_nothing,
                a_backup_that_wakes_leaves_the_living_master_alone,
                a_backup_that_wakes_looks_behind_a_flood_for_its_master,
                what_a_backup_has_no_room_for_is_told;
            addresses:
                a_deleted_address_is_back_and_announced_without_a_transition,
                an_address_added_by_hand_on_the_backup_is_taken_off;
            drop_filter:
                a_master_that_does_not_accept_is_a_router_and_no_host,
                a_ruleset_that_is_flushed_is_repaired_at_once,
                what_a_killed_daemon_refused_is_refused_until_it_is_cleaned_up,
                a_daemon_that_accepts_takes_away_what_an_earlier_one_refused,
                who_cannot_refuse_is_in_fault_until_it_can;
            ipv6:
                a_dead_master_of_ipv6_is_succeeded_within_the_bound_and_clients_go_on,
                a_master_of_both_families_hands_over_both_after_the_skew,
                the_greater_priority_fails_back_in_both_families,
                a_deleted_ipv6_address_is_back_and_announced_without_a_transition,
                an_ipv6_address_added_by_hand_on_the_backup_is_taken_off,
                a_reload_adds_ipv6_and_takes_it_away_without_a_transition,
                cleanup_takes_off_the_addresses_of_both_families,
                of_equals_in_both_families_the_greater_ipv4_address_is_master,
                a_daemon_waits_until_its_link_local_address_is_known_to_be_no_duplicate;
            groups:
                experiment_2_fails_back_whole_in_a_group_and_not_without,
                both_instances_fail_over_and_back_as_one_whichever_card_it_is,
                with_one_network_cut_between_the_hosts_nobody_moves,
                the_weight_of_one_members_tracker_counts_for_all,
                a_reload_makes_a_group_and_dissolves_it_without_a_transition;
            links:
                an_interface_set_down_is_a_fault_and_recovers,
                a_pulled_cable_is_a_fault_and_recovers,
                a_renamed_interface_is_a_fault_and_recovers,
                a_port_of_a_bridge_is_a_fault_and_recovers,
                an_interface_without_an_own_address_is_a_fault_and_recovers,
                a_missing_interface_is_a_fault_until_it_is_made_and_after_it_is_deleted,
                an_interface_that_is_made_again_in_time_moves_no_master,
                a_short_absence_of_an_address_or_a_link_moves_no_host;
            lvs:
                a_master_serves_whether_or_not_its_connections_can_be_synchronised;
            reload:
                a_reload_that_changes_nothing_changes_nothing,
                a_changed_priority_counts_without_a_transition,
                addresses_come_and_go_without_a_transition,
                a_changed_interval_counts_without_a_transition,
                trackers_come_and_go_without_a_transition,
                an_address_that_moves_to_another_instance_never_leaves,
                a_reload_with_a_mistake_leaves_everything_as_it_was,
                a_reload_of_one_instance_does_not_touch_another;
            routing:
                routes_appear_at_the_master_and_move_at_a_take_over,
                what_is_deleted_by_hand_is_put_back_without_a_transition,
                a_marked_route_that_somebody_adds_to_the_backup_is_taken_away,
                a_route_that_cannot_be_is_named_and_comes_when_it_can,
                cleanup_takes_away_what_a_killed_daemon_left,
                a_restart_takes_away_what_a_killed_daemon_left,
                routes_come_and_go_by_a_reload_without_a_transition;
            trackers:
                a_failed_script_resigns_and_recovers,
                a_weight_lowers_the_advertised_priority,
                a_script_that_hangs_is_killed_with_its_children_and_never_runs_twice,
                scripts_never_delay_an_advertisement,
                a_watched_interface_without_carrier_is_a_fault,
                a_watched_interface_that_flickers_is_down_until_it_has_come_to_rest,
                a_number_in_a_file_moves_the_priority_or_is_a_fault,
                a_process_that_ends_is_a_fault_until_there_is_another,
                a_route_that_goes_is_a_fault_until_it_is_back,
                a_route_goes_with_its_device_and_counts_by_its_gateway_alone,
                a_gateway_that_does_not_answer_is_a_fault_although_the_route_is_there,
                a_gateway_has_to_answer_over_ipv6;
            notify:
                a_slow_command_is_told_the_newest_state_when_its_turn_comes,
                a_command_that_hangs_is_killed_with_its_children_and_the_next_one_told,
                a_command_that_fails_is_tried_again_until_it_does_well,
                a_fifo_is_a_command_away_and_hears_json,
                a_script_for_keepalived_is_given_what_keepalived_gives,
                the_stop_is_told_before_the_daemon_ends_and_after_it_has_handed_over,
                who_is_told_to_stop_twice_waits_for_nobody,
                a_reload_tells_what_it_ends_by_the_former_command_and_the_rest_again,
                a_group_is_told_of_once_and_knows_its_name;
            probes:
                who_sees_its_web_server_go_ill_gives_way_within_a_second,
                a_web_server_that_hangs_is_ill,
                a_port_that_nobody_listens_at_is_a_fault,
                a_gateway_whose_cable_is_pulled_is_a_fault,
                who_may_have_a_ping_socket_takes_one,
                a_gateway_is_asked_over_ipv6_through_its_interface;
            packets:
                packets_of_version_3_are_dropped_by_cause,
                packets_of_version_2_are_dropped_by_cause,
                packets_that_prove_nothing_are_dropped_by_cause,
                a_flood_of_bad_packets_does_not_silence_the_master,
                a_flood_changes_nothing_and_fills_neither_the_log_nor_the_memory,
                a_router_in_fault_drops_what_it_hears,
                the_form_of_checksum_that_a_peer_uses_is_the_one_that_it_is_sent;
            hmac:
                who_signs_is_believed_in_both_families,
                a_recorded_advertisement_keeps_no_dead_master_alive,
                hmac_begins_and_keys_change_without_a_transition;
            virtual_mac:
                a_take_over_changes_no_neighbours_entry_of_ipv4,
                a_take_over_changes_no_neighbours_entry_of_ipv6,
                a_take_over_changes_no_neighbours_entry_of_both_families,
                nobody_hears_that_an_address_is_at_a_physical_mac_address,
                advertisements_leave_from_the_address_that_is_wanted,
                a_backup_sends_nothing_from_it_and_has_nothing_there,
                frames_to_it_are_forwarded_by_the_master_alone,
                what_somebody_does_to_it_is_mended_without_a_transition,
                who_is_refused_its_interface_says_so_and_tries_no_more_than_every_second,
                a_reload_switches_it_on_and_off,
                what_a_killed_daemon_left_is_cleaned_up_or_taken_over,
                who_stops_leaves_no_interface,
                handing_over_delays_no_advertisement_of_another_router;
            unicast:
                a_pair_lives_and_dies_without_a_multicast,
                a_stranger_is_counted_and_not_obeyed,
                an_address_to_send_from_is_waited_for,
                a_name_is_looked_up_again_and_again;
            process:
                a_second_daemon_refuses_and_leaves_the_first_alone,
                without_a_configuration_it_says_so_and_ends,
                a_wrong_configuration_is_named_and_touches_nothing,
                systemd_is_told_what_it_wants_to_know,
                the_journal_gets_the_values_as_fields,
                a_log_that_is_stuck_delays_nothing,
                clients_that_do_not_read_disturb_nobody;
        ],
        &[],
    )
}
