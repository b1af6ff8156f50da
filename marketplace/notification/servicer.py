"""Turns requests of the contract into commands, and results into messages."""

from typing import Any

import grpc.aio
from shop.notification.v1 import notification_pb2 as pb
from shop.notification.v1.notification_pb2_grpc import NotificationServiceServicer

from marketplace.notification.use_cases.render_message import RenderMessage, render_message

Context = grpc.aio.ServicerContext[Any, Any]


class NotificationServicer(NotificationServiceServicer):
    """Serves shop.notification.v1.NotificationService."""

    async def RenderMessage(self, request: pb.RenderMessageRequest, context: Context) -> pb.Message:
        message = render_message(RenderMessage(request.event_type, request.payload, request.name, request.locale))
        return pb.Message(subject=message.subject, text=message.text, html=message.html)
