"""The cost report as one self-contained page: charts, node time line, gallery; nothing is fetched when it is read."""
