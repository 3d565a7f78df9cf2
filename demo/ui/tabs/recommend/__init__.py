"""The Recommend tab: which model, read how, tells the texts apart best, within a budget of time."""
