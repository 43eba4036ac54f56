"""The exchange's files read, judged and put on one calendar."""
