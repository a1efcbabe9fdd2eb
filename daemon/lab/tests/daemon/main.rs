//! Tests of the daemon's program on hosts of the lab, with faults. Each behaviour is asserted by the frames
//! on the wire, the kernel's addresses, and the daemon's status and log.

#[path = "../common/mod.rs"]
mod common;
mod pair;

mod addresses;
mod answers;
mod conflict;
mod container;
mod doctor;
mod drop_filter;
mod frozen;
mod groups;
mod hand_over;
mod hmac;
mod ipv6;
mod killed;
mod links;
mod lvs;
mod notify;
mod operator;
mod packets;
mod probes;
mod process;
mod reload;
mod restart;
mod routing;
mod silence;
mod takeover;
mod timing;
mod trackers;
mod unicast;
mod unsent;
mod virtual_mac;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::main(
        &tests![
            takeover:
                dead_master_is_replaced_within_master_down_interval,
                stopped_master_hands_over_after_skew_time,
                higher_priority_router_fails_back,
                without_preempt_higher_priority_waits_for_master_failure,
                only_the_master_answers_for_the_address,
                equal_priority_elects_greater_address,
                state_master_shortens_first_wait_to_interval_and_skew,
                isolated_master_recovers_after_link_is_restored,
                terminating_signals_hand_over;
            hand_over:
                stopped_master_answers_until_its_successor_does,
                status_shows_the_hand_over_of_a_stopping_daemon,
                stop_without_successor_releases_after_the_bound,
                second_stop_signal_releases_at_once,
                lost_link_ends_the_hand_over,
                virtual_mac_is_handed_over_without_outage;
            timing:
                preempt_delay_postpones_preemption,
                preempt_delay_does_not_delay_failover,
                startup_delay_applies_even_with_state_master,
                announcement_burst_is_sent_at_once_and_refreshed,
                announcements_keep_configured_pace;
            killed:
                cleanup_removes_only_addresses_of_killed_daemon,
                cleanup_refuses_while_the_daemon_runs,
                cleanup_does_not_wait_for_its_configuration,
                cleanup_works_without_valid_configuration,
                restart_deletes_strays_before_first_wait;
            restart:
                restart_of_the_master_is_no_event,
                new_name_by_reload_or_restart_is_no_event,
                restart_at_one_second_is_no_event,
                restart_of_a_backup_is_no_event,
                restart_touches_no_interface_route_or_rule,
                changed_priority_applies_after_the_restart,
                added_and_removed_addresses_apply_after_the_restart,
                address_leaves_without_a_next_process,
                cleanup_waits_for_the_next_process_unless_it_failed,
                invalid_configuration_leaves_nothing_behind,
                recording_is_rejected_after_any_restart,
                take_over_from_a_daemon_is_no_event,
                rejected_take_over_leaves_the_daemon_alone,
                take_over_without_a_daemon_is_a_start;
            frozen:
                resumed_master_releases_addresses_and_listens_first,
                resumed_master_without_peer_listens_first,
                short_suspension_causes_no_transition,
                resumed_backup_does_not_replace_living_master,
                resumed_backup_reads_queue_behind_flood,
                receive_buffer_overflow_is_logged;
            silence:
                returning_owner_of_the_address_is_received_by_its_backup,
                accept_local_is_set_while_the_daemon_runs_and_repaired,
                accept_local_of_a_killed_daemon_is_restored_by_cleanup,
                dropped_advertisements_withhold_take_over_until_master_dies,
                dropped_ipv6_advertisements_withhold_take_over,
                distrusted_wire_lets_backup_take_over;
            unsent:
                master_that_cannot_send_yields_to_the_next_one,
                preemption_that_cannot_be_sent_is_not_noticed_by_neighbours;
            addresses:
                deleted_address_is_restored_without_transition,
                own_addresses_outlive_virtual_ones_that_came_first,
                changed_own_address_stays_primary,
                address_deleted_in_a_loop_is_restored_and_reported_at_a_bounded_rate,
                rejected_repair_is_logged_as_such,
                master_without_any_of_its_addresses_is_in_fault,
                backup_deletes_address_added_by_hand,
                pair_without_addresses_fails_over_and_back;
            conflict:
                third_host_that_claims_the_address_is_told,
                flood_of_claims_delays_no_advertisement,
                former_and_second_masters_are_no_conflict;
            answers:
                explanation_names_master_and_what_prevents_mastership,
                explanation_of_unknown_instance_lists_the_known_ones,
                events_outlive_a_killed_daemon_and_can_be_followed;
            container:
                first_process_of_container_reaps_orphans_of_scripts,
                first_process_of_container_obeys_signals_and_logs_to_its_output,
                first_process_of_container_obeys_signal_during_start,
                inherited_children_and_signal_settings_have_no_effect;
            doctor:
                doctor_finds_nothing_beside_a_sound_master,
                doctor_names_the_chain_that_drops_advertisements,
                doctor_finds_other_router_with_the_vrid,
                doctor_finds_host_that_answers_for_the_address,
                doctor_finds_strict_reverse_path_and_missing_interface,
                doctor_changes_nothing_and_needs_a_valid_configuration;
            drop_filter:
                master_without_accept_mode_forwards_and_drops_local_packets,
                flushed_ruleset_is_restored_at_once,
                drop_rules_outlive_killed_daemon_until_cleanup,
                accepting_daemon_deletes_drop_rules_of_earlier_one,
                missing_drop_rules_are_fault_until_installed;
            ipv6:
                dead_ipv6_master_is_replaced_within_master_down_interval,
                returned_backup_hears_ipv6_unicast_master_at_once,
                dual_stack_master_hands_over_after_skew_time,
                higher_priority_fails_back_in_both_families,
                deleted_ipv6_address_is_restored_without_transition,
                backup_deletes_ipv6_address_added_by_hand,
                reload_adds_and_removes_ipv6_without_transition,
                cleanup_removes_addresses_of_both_families,
                dual_stack_tie_is_decided_by_ipv4_address,
                startup_waits_for_duplicate_address_detection;
            groups:
                experiment_2_fails_back_completely_only_with_sync_group,
                sync_group_fails_over_as_one_for_either_link,
                heartbeat_member_prevents_two_masters,
                sync_group_holds_state_with_one_network_cut,
                tracker_weight_of_one_member_applies_to_group,
                reload_creates_and_dissolves_group_without_transition;
            links:
                an_interface_set_down_is_a_fault_and_recovers,
                a_pulled_cable_is_a_fault_and_recovers,
                a_renamed_interface_is_a_fault_and_recovers,
                an_alternative_name_is_a_fault_with_the_name,
                a_port_of_a_bridge_is_a_fault_and_recovers,
                an_interface_without_an_own_address_is_a_fault_and_recovers,
                missing_interface_is_fault_until_created,
                rejected_socket_is_fault_until_it_opens,
                interface_recreated_within_grace_causes_no_transition,
                short_absence_of_address_or_link_causes_no_transition,
                untracked_heartbeat_cable_without_carrier_is_no_fault;
            lvs:
                master_serves_without_working_ipvs_sync_daemon;
            reload:
                unchanged_reload_has_no_effect,
                changed_priority_applies_without_transition,
                addresses_are_added_and_removed_without_transition,
                changed_interval_applies_without_transition,
                trackers_are_added_and_removed_without_transition,
                address_moved_between_instances_is_never_deleted,
                invalid_reload_keeps_configuration_in_force,
                reload_leaves_unchanged_instances_alone;
            routing:
                routes_follow_master_at_takeover,
                deleted_routes_are_restored_without_transition,
                default_route_survives_replaced_only_address,
                backup_deletes_foreign_route_with_mark,
                rejected_route_is_logged_and_added_later,
                cleanup_deletes_routes_of_killed_daemon,
                restart_deletes_routes_of_killed_daemon,
                reload_adds_and_removes_routes_without_transition;
            trackers:
                failed_script_causes_resignation_until_success,
                a_weight_lowers_the_advertised_priority,
                hanging_script_is_killed_and_never_runs_twice,
                dead_script_runner_is_no_verdict,
                scripts_never_delay_an_advertisement,
                tracked_interface_without_carrier_is_fault,
                flapping_tracked_interface_is_down_until_stable,
                file_tracker_changes_priority_or_causes_fault,
                process_tracker_is_fault_until_process_returns,
                deleted_tracked_route_is_fault_until_restored,
                tracked_route_follows_device_and_gateway,
                silent_gateway_is_fault_despite_route,
                ipv6_gateway_has_to_answer;
            notify:
                slow_command_receives_newest_state_next,
                hanging_command_is_killed_and_next_one_runs,
                failed_command_is_retried_until_success,
                notification_json_reaches_fifo_through_command,
                keepalived_script_receives_keepalived_arguments,
                stop_notification_follows_handover_and_precedes_exit,
                second_stop_signal_kills_running_notifications,
                reload_notifies_removed_and_remaining_instances,
                group_notification_is_sent_once_with_name,
                contested_master_is_notified_when_second_master_has_gone,
                contested_group_is_notified_once_and_each_instance;
            probes:
                unhealthy_web_server_causes_failover_within_a_second,
                hanging_web_server_causes_failover,
                closed_port_is_fault,
                unreachable_gateway_is_fault,
                gateway_is_pinged_through_permitted_ping_socket,
                ipv6_gateway_is_pinged_through_its_interface;
            packets:
                packets_of_version_3_are_dropped_by_cause,
                packets_of_version_2_are_dropped_by_cause,
                unauthenticated_packets_are_dropped_by_cause,
                flood_of_bad_packets_delays_no_advertisement,
                flood_fills_neither_log_nor_memory,
                router_in_fault_drops_received_packets,
                checksum_form_follows_peer;
            hmac:
                signed_advertisements_are_accepted_in_both_families,
                replayed_advertisement_does_not_delay_takeover,
                hmac_and_key_rollover_cause_no_transition;
            virtual_mac:
                takeover_changes_no_ipv4_neighbour_entry,
                takeover_changes_no_ipv6_neighbour_entry,
                takeover_changes_no_neighbour_entry_of_both_families,
                virtual_address_is_never_at_physical_mac,
                advertisements_use_configured_source_mac,
                backup_neither_sends_from_macvlan_nor_holds_addresses,
                final_advertisement_is_the_last_frame_from_the_virtual_mac,
                stop_and_cleanup_send_nothing_from_the_virtual_macs,
                only_master_forwards_frames_to_virtual_mac,
                changed_macvlan_is_restored_without_transition,
                rejected_macvlan_is_logged_and_retried_every_second,
                reload_enables_and_disables_virtual_mac,
                macvlans_of_killed_daemon_are_adopted_or_deleted,
                stop_deletes_macvlans,
                handover_delays_no_advertisement_of_other_routers;
            unicast:
                unicast_pair_fails_over_without_multicast,
                unicast_stranger_is_counted_and_ignored,
                missing_source_address_is_fault_until_added,
                returned_backup_hears_unicast_master_at_once,
                unresolved_peer_name_causes_no_second_master,
                former_address_of_peer_name_remains_a_peer,
                peer_name_is_resolved_repeatedly;
            operator:
                drained_master_hands_over_and_returns,
                drain_survives_restart_of_the_daemon,
                drain_without_peer_leaves_the_last_resort,
                step_down_works_with_a_backup_that_does_not_preempt,
                step_down_without_last_resort_lasts_until_ended,
                priority_of_the_operator_expires,
                announcement_is_repeated_by_order,
                reload_command_returns_mistakes_and_changes,
                command_for_unknown_instance_suggests_another,
                command_without_daemon_or_permission_says_why,
                unreadable_commands_do_not_prevent_service,
                slow_command_clients_delay_nothing;
            process:
                second_daemon_exits_without_touching_first,
                missing_configuration_file_is_reported_at_exit,
                invalid_configuration_is_reported_and_touches_nothing,
                systemd_receives_readiness_status_watchdog_and_reload,
                journal_entries_have_fields,
                blocked_log_delays_no_advertisement,
                stalled_control_clients_block_no_other_client;
        ],
        &[],
    )
}
