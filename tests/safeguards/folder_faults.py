"""The faults of the folder, of the process and its machine, bad input, and the same thing again: each with its tests.

The first test of a fault is the one that the mutation of its name makes red by taking the safeguard out.
"""

from __future__ import annotations

FOLDER_TESTS = "tests/services/test_folder_faults.py"
MACHINE_TESTS = "tests/services/test_machine_faults.py"
BAD_TESTS = "tests/services/test_bad_input.py"
AGAIN_TESTS = "tests/services/test_same_again.py"
WATCHER_TESTS = "tests/adapters/test_watcher.py"
PROCESS_TESTS = "tests/whole/test_one_root.py"
LIFE_TESTS = "tests/whole/test_service_life.py"
REFUSAL_TESTS = "tests/whole/test_refusals.py"

Faults = dict[str, tuple[str, ...]]  #: fault -> tests

#: a drop folder that does what folders do
FOLDER: Faults = {
    "a-zip-that-grows-slowly": (
        f"{FOLDER_TESTS}::test_a_zip_that_grows_slowly_is_left_alone_until_it_has_stood_still",
    ),
    "a-zip-whose-writer-pauses": (
        f"{FOLDER_TESTS}::test_a_zip_whose_writer_pauses_with_a_readable_directory_is_not_taken_while_it_is_open",
    ),
    "a-zip-that-grows-while-it-is-opened": (
        f"{FOLDER_TESTS}::test_a_zip_that_grows_while_it_is_opened_goes_back_and_settles_anew",
    ),
    "a-zip-that-grows-after-it-was-opened": (
        f"{FOLDER_TESTS}::test_a_zip_that_grows_after_it_was_opened_comes_again_and_only_what_is_new_is_sent",
    ),
    "a-folder-that-cannot-be-synced": (
        f"{FOLDER_TESTS}::test_a_folder_that_its_file_system_cannot_sync_keeps_nothing_from_being_taken",
    ),
    "an-unfinished-zip": (f"{FOLDER_TESTS}::test_an_unfinished_zip_is_counted_and_taken_once_it_is_whole",),
    "a-zip-that-stays-unfinished": (
        f"{FOLDER_TESTS}::test_a_zip_that_stays_unfinished_is_put_aside_with_the_reason_beside_it",
    ),
    "a-zip-replaced-under-its-name": (
        f"{FOLDER_TESTS}::test_a_zip_that_is_replaced_under_the_same_name_must_stand_still_anew",
    ),
    "a-zip-replaced-while-it-is-taken": (
        f"{FOLDER_TESTS}::test_a_zip_that_is_replaced_while_it_is_taken_is_given_back_and_settles_anew",
    ),
    "a-zip-given-back-beside-another": (
        f"{FOLDER_TESTS}::test_a_zip_that_is_given_back_never_lands_on_another_that_has_come_meanwhile",
    ),
    "a-zip-renamed-in": (
        f"{FOLDER_TESTS}::test_a_zip_that_is_renamed_to_its_name_is_taken_and_its_temporary_name_is_counted",
    ),
    "a-zip-moved-in-with-its-folder": (f"{FOLDER_TESTS}::test_a_zip_that_is_moved_in_with_its_folder_is_taken",),
    "a-zip-with-a-second-name": (
        f"{FOLDER_TESTS}::test_a_zip_with_a_second_name_is_copied_so_that_nobody_writes_into_ours",
    ),
    "a-zip-with-an-old-time": (
        f"{FOLDER_TESTS}::test_a_zip_that_was_copied_with_an_old_time_must_stand_still_as_any_other",
    ),
    "three-zips-of-one-name": (f"{FOLDER_TESTS}::test_three_zips_of_one_name_from_three_people_are_three_deliveries",),
    "a-busy-or-unreadable-file": (f"{FOLDER_TESTS}::test_a_busy_or_unreadable_file_is_reported_once_and_tried_again",),
    "a-folder-that-cannot-be-read": (f"{FOLDER_TESTS}::test_a_folder_that_cannot_be_read_hides_nothing_beside_it",),
    "a-disk-that-fails-after-a-rename": (
        f"{FOLDER_TESTS}::test_a_zip_that_was_renamed_when_the_disk_failed_is_not_forgotten_in_work",
    ),
    "a-zip-in-work-that-was-withdrawn": (
        f"{FOLDER_TESTS}::test_a_zip_in_work_whose_delivery_was_withdrawn_is_put_back_under_its_name",
    ),
    "a-zip-in-work-that-no-ledger-knows": (
        f"{FOLDER_TESTS}::test_a_zip_in_work_that_no_ledger_knows_is_put_back_nowhere",
    ),
    "a-file-of-ours-in-the-way": (f"{FOLDER_TESTS}::test_nothing_of_ours_is_ever_overwritten_by_taking",),
    "links": (f"{FOLDER_TESTS}::test_links_are_never_followed_and_are_counted",),
    "a-link-put-in-a-files-place": (
        f"{FOLDER_TESTS}::test_a_link_put_in_a_files_place_at_the_last_moment_takes_nothing_from_elsewhere",
    ),
    "what-is-hidden-or-no-file": (
        f"{FOLDER_TESTS}::test_what_is_no_file_and_what_is_hidden_is_counted_and_not_opened",
    ),
    "names-in-any-encoding": (
        f"{FOLDER_TESTS}::test_a_zip_that_has_the_longest_name_there_is_rests_with_the_reason_beside_it",
    ),
    "two-names-that-cannot-be-shown": (f"{FOLDER_TESTS}::test_two_names_that_cannot_be_shown_are_counted_as_two",),
    "a-project-folder-of-any-name": (
        f"{FOLDER_TESTS}::test_a_folder_of_any_name_that_is_to_be_a_project_harms_nothing",
    ),
    "many-zips-at-once": (f"{FOLDER_TESTS}::test_a_thousand_zips_at_once_are_all_taken_in_one_sweep",),
    "an-unmounted-drop-folder": (f"{FOLDER_TESTS}::test_an_unmounted_drop_folder_pauses_and_nothing_is_concluded",),
    "an-empty-mount-point": (
        f"{FOLDER_TESTS}::test_a_drop_folder_that_is_empty_after_mounting_forgets_only_how_long_files_stood_still",
    ),
    "a-replaced-drop-folder": (f"{FOLDER_TESTS}::test_a_drop_folder_that_is_replaced_is_looked_into_as_it_is_now",),
    "another-file-system": (f"{FOLDER_TESTS}::test_a_drop_folder_on_another_file_system_is_copied_from",),
    "inotify-limits": (
        f"{WATCHER_TESTS}::test_where_the_kernel_has_no_room_for_a_watch_the_folder_is_polled_and_the_reason_told",
    ),
    "inotify-overflow": (f"{WATCHER_TESTS}::test_lost_events_give_a_hint",),
    "network-file-systems": (f"{WATCHER_TESTS}::test_a_network_file_system_is_polled_and_the_reason_is_told",),
    "network-file-systems-overridden": (f"{WATCHER_TESTS}::test_the_setting_wins_over_what_the_file_system_says",),
    "a-folder-watched-anew": (f"{WATCHER_TESTS}::test_a_folder_that_was_removed_and_made_again_is_another_one",),
}

#: the process and the machine under it
MACHINE: Faults = {
    "a-lease-that-proves-nothing": (
        f"{FOLDER_TESTS}::test_where_other_machines_may_write_the_kernels_refusal_of_a_lease_is_no_proof",
    ),
    "sigterm-in-mid-upload": (f"{LIFE_TESTS}::test_a_stop_in_mid_upload_is_quick_and_in_order",),
    "sigterm-in-mid-zip": (f"{PROCESS_TESTS}::test_told_to_stop_in_the_middle_of_a_large_zip_it_stops_within_seconds",),
    "a-stop-is-no-death": (
        f"{MACHINE_TESTS}::test_told_to_stop_in_the_middle_of_a_zip_it_stops_and_the_next_start_opens_it_uncharged",
    ),
    "a-sweep-that-is-stopped": (f"{MACHINE_TESTS}::test_told_to_stop_a_sweep_of_many_ends_between_two",),
    "a-zip-that-kills": (
        f"{MACHINE_TESTS}::test_a_zip_that_kills_the_process_whenever_it_is_opened_is_put_aside_the_third_time_and_the_service_lives",
    ),
    "a-study-that-kills": (
        f"{MACHINE_TESTS}::test_a_study_that_kills_the_process_whenever_it_is_sent_is_held_the_third_time_and_others_go_on",
    ),
    "killed-before-the-note": (
        f"{MACHINE_TESTS}::test_killed_between_rejecting_a_zip_and_putting_it_aside_the_reason_still_comes_to_lie_beside_it",
    ),
    "a-full-work-folder": (f"{MACHINE_TESTS}::test_a_full_work_folder_takes_nothing_says_so_and_goes_on_by_itself",),
    "a-full-ledger": (f"{MACHINE_TESTS}::test_a_disk_full_under_the_ledger_stops_taking_and_goes_on_where_it_was",),
    "what-cannot-be-written-down": (
        f"{MACHINE_TESTS}::test_whatever_cannot_be_written_down_is_asked_for_before_it_is_done_again",
    ),
    "no-room-for-a-clean-zip": (
        f"{MACHINE_TESTS}::test_a_work_folder_too_full_for_a_clean_zip_holds_no_study_and_goes_on_by_itself",
    ),
    "a-full-done-folder": (
        f"{MACHINE_TESTS}::test_a_full_done_folder_keeps_the_zip_in_work_and_moves_it_when_there_is_room",
    ),
    "a-full-failed-folder": (
        f"{MACHINE_TESTS}::test_a_full_failed_folder_keeps_the_zip_in_work_and_moves_it_when_there_is_room",
    ),
    "a-full-ledger-is-said": (f"{MACHINE_TESTS}::test_a_full_ledger_is_said_and_the_service_goes_on",),
    "a-worker-without-room": (f"{MACHINE_TESTS}::test_a_worker_whose_disk_is_full_waits_and_does_not_die",),
    "too-little-room-is-left": (f"{MACHINE_TESTS}::test_while_too_little_room_is_left_nothing_is_taken",),
    "a-bad-sector": (f"{MACHINE_TESTS}::test_one_zip_on_a_bad_sector_does_not_keep_the_service_from_starting",),
    "a-zip-gone-from-work": (
        f"{MACHINE_TESTS}::test_a_zip_that_is_gone_from_work_is_waited_for_and_goes_on_when_it_is_back",
    ),
    "a-clock-that-jumps": (
        f"{MACHINE_TESTS}::test_a_clock_that_jumps_ten_years_keeps_no_study_waiting_and_holds_none",
    ),
    "a-clock-set-back-and-absence": (
        f"{MACHINE_TESTS}::test_a_clock_that_was_set_back_lets_absence_count_from_the_first_look_on",
    ),
    "a-machine-off-for-days": (f"{MACHINE_TESTS}::test_the_machine_may_be_off_for_days_while_xnat_says_not_yet",),
    "a-second-service": (f"{REFUSAL_TESTS}::test_two_services_never_share_a_root",),
    "durable-when-renamed": (
        f"{MACHINE_TESTS}::test_what_is_taken_by_a_rename_is_durable_in_content_and_in_both_folders",
    ),
    "durable-before-the-source-goes": (
        f"{MACHINE_TESTS}::test_what_is_taken_over_a_border_is_durable_before_its_source_is_removed",
    ),
    "durable-when-moved": (
        f"{MACHINE_TESTS}::test_what_is_moved_over_a_border_is_durable_before_its_source_is_removed",
    ),
    "a-note-whole-or-not-at-all": (f"{MACHINE_TESTS}::test_a_note_is_there_whole_or_not_at_all",),
    "the-intent-before-the-act": (f"{MACHINE_TESTS}::test_the_intent_is_written_before_a_file_is_touched",),
}

#: what is no sound ZIP of sound images
BAD: Faults = {
    "a-bad-file-ends-nothing": (f"{BAD_TESTS}::test_every_limit_is_a_setting_and_is_kept",),
    "limits": (f"{BAD_TESTS}::test_every_limit_is_a_setting_and_is_kept",),
    "a-good-study-beside-a-damaged-one": (f"{BAD_TESTS}::test_a_good_study_beside_a_damaged_one_in_one_zip_arrives",),
}

#: what has come before
AGAIN: Faults = {
    "the-same-bytes-complete": (
        f"{AGAIN_TESTS}::test_the_same_bytes_when_all_is_complete_are_a_duplicate_once_xnat_was_asked",
    ),
    "the-same-bytes-deleted-in-xnat": (
        f"{AGAIN_TESTS}::test_the_same_bytes_bring_back_what_somebody_has_deleted_in_xnat",
    ),
    "the-same-bytes-held": (f"{AGAIN_TESTS}::test_the_same_bytes_when_the_first_is_held_are_its_retry",),
    "the-same-bytes-failed": (f"{AGAIN_TESTS}::test_the_same_bytes_when_the_first_came_to_nothing_are_looked_at_anew",),
    "the-same-bytes-under-way": (
        f"{AGAIN_TESTS}::test_the_same_bytes_while_the_first_is_under_way_end_at_once_and_disturb_nothing",
    ),
    "the-same-bytes-for-another-project": (
        f"{AGAIN_TESTS}::test_the_same_bytes_for_another_project_are_another_delivery",
    ),
    "a-part-of-a-study": (f"{AGAIN_TESTS}::test_a_part_of_what_xnat_holds_sends_nothing",),
    "a-new-series": (f"{AGAIN_TESTS}::test_a_new_series_of_a_study_joins_it_under_its_label",),
    "more-images-of-a-series": (f"{AGAIN_TESTS}::test_more_images_of_a_series_that_is_there_join_it_each_once",),
    "other-bytes-under-one-uid": (
        f"{AGAIN_TESTS}::test_another_image_under_a_uid_that_is_there_is_held_and_overwrites_nothing",
    ),
    "the-first-under-way": (
        f"{AGAIN_TESTS}::test_a_study_that_comes_again_while_its_first_zip_is_under_way_waits_for_it",
    ),
    "behind-a-held-one": (f"{AGAIN_TESTS}::test_a_study_behind_a_held_one_waits_says_for_what_and_goes_on_after_it",),
    "one-study-two-patients": (
        f"{AGAIN_TESTS}::test_one_study_under_two_patient_ids_is_held_before_anything_of_the_second_is_sent",
    ),
    "two-people-of-one-name": (f"{AGAIN_TESTS}::test_two_people_of_one_name_are_never_one_subject",),
    "two-studies-one-label": (f"{AGAIN_TESTS}::test_two_studies_with_one_label_are_never_one_session",),
    "two-studies-one-label-one-zip": (
        f"{AGAIN_TESTS}::test_two_studies_with_one_label_in_one_zip_are_never_one_session",
    ),
    "the-same-content-packed-anew": (f"{AGAIN_TESTS}::test_other_bytes_of_the_same_content_send_nothing",),
}

FAULTS: Faults = {**FOLDER, **MACHINE, **BAD, **AGAIN}

#: what only tests show: to take the safeguard out would take the program apart, or half a minute each time
WITHOUT_MUTATION: Faults = {
    "all 52 bad files": (
        f"{BAD_TESTS}::test_each_ends_as_the_table_says_in_bounded_time",
        f"{BAD_TESTS}::test_the_good_study_beside_them_and_every_sound_one_arrives_exactly_once",
        f"{BAD_TESTS}::test_the_memory_of_the_whole_service_is_bounded",
        f"{BAD_TESTS}::test_no_name_from_a_zip_touches_the_disk",
        f"{BAD_TESTS}::test_an_upload_under_a_temporary_name_is_not_touched_and_counted",
    ),
    "a name in any encoding": (
        f"{FOLDER_TESTS}::test_a_zip_of_any_name_in_any_encoding_arrives_and_rests_under_a_readable_one",
    ),
    "a kill in the middle of taking": (
        f"{MACHINE_TESTS}::test_killed_before_any_step_of_taking_and_resting_a_zip_it_arrives_exactly_once",
    ),
    "a ZIP of more than 4 GiB": (f"{BAD_TESTS}::test_a_zip_of_more_than_four_gib_arrives",),
    "a service that was killed": (f"{PROCESS_TESTS}::test_a_root_whose_service_was_killed_is_free_at_once",),
    "a stop before the answer": (
        f"{LIFE_TESTS}::test_a_stop_before_the_answer_doubles_nothing_and_the_next_start_goes_on",
    ),
}
