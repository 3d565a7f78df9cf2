"""The page's file: dropped once, it is there in every tab that takes texts, until it is closed."""
