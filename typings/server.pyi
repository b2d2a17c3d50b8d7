from aiohttp import web

class PromptServer:
    instance: PromptServer
    routes: web.RouteTableDef
