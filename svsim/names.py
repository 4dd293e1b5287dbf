"""Every column, signal, reward and feature name stands here once."""

from __future__ import annotations

from typing import Final

# --- KuaiRand's own columns, in the order of the official files ------------------------------------------------------

LOG_COLUMNS: Final = (
    "user_id",
    "video_id",
    "date",
    "hourmin",
    "time_ms",
    "is_click",
    "is_like",
    "is_follow",
    "is_comment",
    "is_forward",
    "is_hate",
    "long_view",
    "play_time_ms",
    "duration_ms",
    "profile_stay_time",
    "comment_stay_time",
    "is_profile_enter",
    "is_rand",
    "tab",
)

ONEHOT_COLUMNS: Final = tuple(f"onehot_feat{i}" for i in range(18))

USER_COLUMNS: Final = (
    "user_id",
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num",
    "follow_user_num_range",
    "fans_user_num",
    "fans_user_num_range",
    "friend_user_num",
    "friend_user_num_range",
    "register_days",
    "register_days_range",
    *ONEHOT_COLUMNS,
)

VIDEO_COLUMNS: Final = (
    "video_id",
    "author_id",
    "video_type",
    "upload_dt",
    "upload_type",
    "visible_status",
    "video_duration",
    "server_width",
    "server_height",
    "music_id",
    "music_type",
    "tag",
)

STATISTIC_COLUMNS: Final = (
    "video_id",
    "counts",
    "show_cnt",
    "show_user_num",
    "play_cnt",
    "play_user_num",
    "play_duration",
    "complete_play_cnt",
    "complete_play_user_num",
    "valid_play_cnt",
    "valid_play_user_num",
    "long_time_play_cnt",
    "long_time_play_user_num",
    "short_time_play_cnt",
    "short_time_play_user_num",
    "play_progress",
    "comment_stay_duration",
    "like_cnt",
    "like_user_num",
    "click_like_cnt",
    "double_click_cnt",
    "cancel_like_cnt",
    "cancel_like_user_num",
    "comment_cnt",
    "comment_user_num",
    "direct_comment_cnt",
    "reply_comment_cnt",
    "delete_comment_cnt",
    "delete_comment_user_num",
    "comment_like_cnt",
    "comment_like_user_num",
    "follow_cnt",
    "follow_user_num",
    "cancel_follow_cnt",
    "cancel_follow_user_num",
    "share_cnt",
    "share_user_num",
    "download_cnt",
    "download_user_num",
    "report_cnt",
    "report_user_num",
    "reduce_similar_cnt",
    "reduce_similar_user_num",
    "collect_cnt",
    "collect_user_num",
    "cancel_collect_cnt",
    "cancel_collect_user_num",
    "direct_comment_user_num",
    "reply_comment_user_num",
    "share_all_cnt",
    "share_all_user_num",
    "outsite_share_all_cnt",
)

# --- signals ---------------------------------------------------------------------------------------------------------

WTR: Final = "wtr"
WTG: Final = "wtg"
AUX: Final = "aux"
SIGNALS: Final = (WTR, WTG, AUX)
"""Components of `info["reward_vector"]`, in order."""

RETURN: Final = "return"
"""Coming back, in the reward weights of a feed of several sessions: 1 / (1 + gap in days)."""

PLAY_TIME: Final = "play_time_ms"
DURATION: Final = "duration_ms"
CLICK: Final = "click"
LONG_VIEW: Final = "long_view"
LIKE: Final = "like"
COMMENT: Final = "comment"
FORWARD: Final = "forward"
FOLLOW: Final = "follow"
HATE: Final = "hate"
PROFILE_ENTER: Final = "profile_enter"

FLAGS: Final = (CLICK, LONG_VIEW, LIKE, COMMENT, FORWARD, FOLLOW, HATE)
FEEDBACK: Final = (PLAY_TIME, DURATION, *FLAGS)
"""Keys of `info["feedback"]`, in order: play and duration in ms, the rest 0 or 1."""

LOG_COLUMN_OF: Final = {
    PLAY_TIME: "play_time_ms",
    DURATION: "duration_ms",
    CLICK: "is_click",
    LONG_VIEW: "long_view",
    LIKE: "is_like",
    COMMENT: "is_comment",
    FORWARD: "is_forward",
    FOLLOW: "is_follow",
    HATE: "is_hate",
    PROFILE_ENTER: "is_profile_enter",
}
"""KuaiRand's column for each feedback signal; the store's columns bear the same names."""

# --- splits, groups --------------------------------------------------------------------------------------------------

SPLITS: Final = ("train", "valid", "test")

INFLUENCER: Final = "influencer"
NORMAL: Final = "normal"
GROUPS: Final = (INFLUENCER, NORMAL)
INFLUENCER_FANS: Final = 1_000
"""A user with at least this many fans (`fans_user_num`) is an influencer."""

# --- observation features, in the order of their columns -------------------------------------------------------------

USER_FEATURES: Final = (
    "log_follows",
    "log_fans",
    "log_friends",
    "log_register_days",
    "is_live_streamer",
    "is_video_author",
    "active_full",
    "active_high",
    "active_middle",
    "active_low",
    "active_new",
    *ONEHOT_COLUMNS,
)

HISTORY_FEATURES: Final = (
    WTR,
    WTG,
    AUX,
    *FLAGS,
    "log_play",
    "log_duration",
    "minutes_before",
    "tab",
    "hour",
    "request_start",
    "age_days",
)

CANDIDATE_FEATURES: Final = (
    "log_duration",
    "age_days",
    "video_log_exposures",
    "video_click",
    "video_long_view",
    "video_wtr",
    "video_wtg",
    "video_aux",
    "author_wtr",
    "author_wtg",
    "tag_wtr",
    "tag_wtg",
)

LEAKY_CANDIDATE_FEATURES: Final = (
    "leaky_play_progress",
    "leaky_valid_play_rate",
    "leaky_complete_play_rate",
    "leaky_like_rate",
)
"""Appended to the candidate features of a store prepared with `--allow-leaky-statistics`, and only there."""
