"""A local page that shows a file: maps, sections, profiles and time series, read lazily, a plane or a line at a time.

viewed_file   one file -> what the page asks for: its description, a plane, a line, a section
folder        names -> files, of one folder and no other
server        HTTP on the loopback, with a token
page.html, page.css, page.js   the page; it needs nothing from elsewhere
"""
