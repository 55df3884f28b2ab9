"""The page: what `status`, `deliveries` and `show` tell, in a browser, with buttons for who may decide.

`server` accepts connections and tells who is at the other end. `guard` refuses what no page of ours sent. `visitors`
knows who may look and who may decide. `application` puts them together with `pages` (to look) and `buttons` (to
decide). `reading` is all that they know of the ledger and the service.
"""
