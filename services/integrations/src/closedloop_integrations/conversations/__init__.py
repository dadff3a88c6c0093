"""Calls, meetings and chats as WeCom, DingTalk and others recorded them; told when they grow or find their customer (S68)."""
