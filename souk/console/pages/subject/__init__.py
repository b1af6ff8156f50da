"""The life of one subject, such as an order, on one time axis.

- `page.py`: the page; it reads the records and the traces.
- `entries.py`: what was recorded, in the order of time, and how things stood at a moment.
- `traces.py`: the spans of the subject's runs, or why there are none.
- `time_scale.py`: where moments are on the axis; times in which nothing happened are folded.
- `axis.py`: lays both out.
"""
