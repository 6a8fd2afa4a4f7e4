"""The only spelling of column names in tables that the project reads or writes."""

USER_ID = "user_id"
ITEM_ID = "item_id"
TIMESTAMP = "timestamp"
RATING = "rating"
EVENT = "event"
TITLE = "title"
DESCRIPTION = "description"
IMAGE = "image"
IMAGE_URL = "image_url"
SCORE = "score"
RANK = "rank"

REQUIRED_INTERACTION_COLUMNS = (USER_ID, ITEM_ID, TIMESTAMP)
RESULT_COLUMNS = (USER_ID, ITEM_ID, SCORE, RANK)

PADDING_ID = 0
"""The internal item id that means "no item here"; real items start at 1."""
